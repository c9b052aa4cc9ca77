"""What kit and relay say to each other, held to its document."""
