"""The shipped configuration files, and the strict reader that both programs share. A leaf: imports nothing of ours."""
