"""Words and keys that other tools use -> ours: A1111, ComfyUI, Deforum, diffusers, ffmpeg, CSS. Plain data.

They are refused with our word, not taken: a job spec says one thing in one way.
"""

import re
from collections.abc import Collection

from render.spec.forms import number_meant
from render.spec.mistakes import did_you_mean
from render.spec.sampler_names import sampler_called
from render.spec.shown import shown

__all__ = ["key_called", "no_such_mode", "no_such_name", "no_such_word", "word_called"]

NOT_BUILT = ("txt2img", "img2img", "inpaint", "animate")
"""Modes that are designed and not there yet: refused by name, never ignored."""

_WORDS = {
    "backend": {
        "eager": "pytorch torch diffusers none",
        "compile": "inductor torchcompile compiled",
        "onnx": "ort onnxruntime",
        "tensorrt": "trt",
    },
    "dtype": {
        "fp16": "float16 half torchfloat16 f16 16",
        "bf16": "bfloat16 torchbfloat16",
        "fp32": "float32 torchfloat32 float full single f32 32",
    },
    "device": {"cuda": "gpu nvidia cuda0"},
    "attention": {
        "flash": "flashattention flashattention2 flash2 fa fa2",
        "sdpa": "sdp torch pytorch native optsdp scaleddotproduct",
        "efficient": "memefficient memoryefficient",
        "sliced": "slicing slice attentionslicing split",
    },
    "memory": {"low": "lowvram medvram offload cpuoffload", "normal": "full high highvram"},
    "quality": {
        "exact": "best high highest full max lossless final",
        "balanced": "medium fast good",
        "draft": "low lowest preview fastest",
    },
    "bad_frame": {"retry": "again rerender", "fail": "error stop raise"},
    "video": {
        "mp4": "mpeg4 m4v mkv webm avi h264",
        "mov": "quicktime",
        "webp": "apng png",
        "null": "none no off false",
    },
    "frames": {"jpg": "jpeg", "png": "true yes on", "null": "none no off false"},
    "codec": {
        "h264": "libx264 x264 avc avc1 h264nvenc nvenc",
        "h265": "libx265 x265 hevc hevcnvenc",
        "av1": "libsvtav1 svtav1 libaomav1 aom aomav1",
        "vp9": "libvpxvp9 libvpx",
        "prores": "proresks prores422",
    },
    "ease": {
        "linear": "lerp none",
        "in": "easein",
        "out": "easeout",
        "in-out": "easeinout smooth smoothstep sine cosine cubic ease",
        "hold": "constant step cut stepped",
    },
    "prompt_walk": {"lerp": "linear", "slerp": "spherical"},
    "mode": {
        "dream": "walk latentwalk interpolate interpolation travel prompttravel morph video txt2vid",
        "txt2img": "text2img text2image texttoimage t2i",
        "img2img": "image2image imagetoimage i2i",
        "animate": "deforum animation 2d 3d vid2vid img2vid",
    },
}
"""Field -> our word -> theirs, in small letters without anything else."""

_KEYS = {
    "guidance": "cfg cfgscale scale guidancescale",
    "steps": "numinferencesteps inferencesteps numsteps samplingsteps",
    "negative": "negativeprompt negativeprompts nprompt negprompt",
    "keyframes": "prompts animationprompts",
    "sampler": "samplername samplerindex scheduler schedulername",
    "size": "width height w h resolution imagesize",
    "model": "modelid modelname checkpoint checkpointname ckpt sdmodelcheckpoint modelpath pretrainedmodelnameorpath",
    "frames": "maxframes numframes framecount totalframes",
    "fps": "framerate",
    "duration": "seconds length",
    "output.dir": "outdir outputdir outputpath outpath",
    "engine.batch": "batchsize",
    "engine.dtype": "precision torchdtype",
    "farm.workers": "gpus numgpus",
    "at": "frame time",
    "ease": "easing interpolation",
}
_NONE = (
    *(
        "lora",
        "loras",
        "controlnet",
        "ipadapter",
        "embeddings",
        "textualinversion",
        "clipskip",
        "vae",
        "refiner",
        "eta",
    ),
    *("hiresfix", "enablehr", "upscale", "restorefaces", "tiling", "strength", "denoise", "denoisingstrength"),
    *("initimage", "animationmode", "zoom", "angle", "audio", "soundtrack"),
)


def word_called(field: str, word: str, known: Collection[str]) -> str | None:
    """What to write for a word that stands for one of ``known`` elsewhere; None where it does not."""
    if field == "sampler":
        return sampler_called(word)
    plain = _plain(word)
    if "auto" in known and plain in ("automatic", "default"):
        return "write auto"
    same = {_plain(ours): ours for ours in known} | {
        theirs: ours for ours, words in _WORDS.get(field, {}).items() for theirs in words.split()
    }
    return f"write {same[plain]}" if plain in same else None


def no_such_mode(value: object, modes: list[str]) -> str:
    """What is said of a mode that there is not; one that is planned is not built yet."""
    called = (word_called("mode", str(value), modes) or str(value)).removeprefix("write ")
    if called in NOT_BUILT:
        return f"{shown(value)} is not built yet; this version has: {', '.join(modes)}"
    return no_such_word("mode", value, modes)


def no_such_word(field: str, value: object, known: list[str]) -> str:
    """A word that is none of those known: our own for it, the nearest one, or all."""
    called = word_called(field, str(value), known)
    known = [*known, "null"] if called == "write null" else known
    if isinstance(value, str) and (number := number_meant(value, whole=True)) and number.split()[0] in known:
        return f"{shown(value)}: write {number}"
    if [one for one in known if not one.isdecimal()] == []:
        return f"{shown(value)}: write {' or '.join(known)}"
    if called:
        return f"{shown(value)}: {called}; the words are: {', '.join(known)}"
    return f"{shown(value)}{did_you_mean(str(value), known)}; write one of: {', '.join(known)}"


def no_such_name(field: str, name: str, known: Collection[str]) -> str:
    """What is said of a name that is not in a table: ours for it, or the nearest and all that there are.

    >>> no_such_name("codec", "libx264", ["h264", "h265"])
    "unknown codec 'libx264'; write h264"
    """
    if not name.strip():
        return f"is empty; write the name of a {field}, or leave the key out"
    if called := word_called(field, name, known):
        return f"unknown {field} {name!r}; {called}"
    return f"unknown {field} {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}"


def key_called(key: str) -> str | None:
    """Our key for one that other tools have; empty where there is nothing of the kind here, None where none has it."""
    plain = _plain(key)
    if plain in _NONE:
        return ""
    return next((ours for ours, theirs in _KEYS.items() if plain in theirs.split()), None)


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
