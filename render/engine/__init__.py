"""What turns a chunk's frames into `uint8` pictures: the only folder that imports torch."""
