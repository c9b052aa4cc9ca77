"""The kit's own web page on the local network: set it up, look through its camera, check it. No lesson needs it."""
