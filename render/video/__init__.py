"""Videos and pictures as files: segments, films joined of them, animations, stills.

It knows no job, chunk or run directory; frames are uint8 RGB arrays (height, width, 3). The only wing with av, imageio.
Read ``codecs.py``, ``segment.py``, ``join.py`` and ``reader.py``; import the files: ``codecs`` loads no av.
"""
