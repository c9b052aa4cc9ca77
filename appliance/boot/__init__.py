"""The boot file, ``parta.toml`` on the card's FAT partition, which any PC can write: what it says, what it does."""
