"""The image's description read, and what is told of an image that was made. ``scripts/image.sh`` does the making."""
