"""x"""
from exitless.view.scene import Scene
def svg(scenes: list[Scene], theme: str = "light") -> str:
    """x"""
    return ""
