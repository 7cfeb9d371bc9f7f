"""What every format of ours is made of.

Reading order: `checksum`, `decbuf`, `framing`.
"""
