"""Owns the boundary: what the operating system denies a sandbox kernel. Standard library only; the
supervisor (outside) and the launcher (inside, before the kernel's code is imported) share it."""
