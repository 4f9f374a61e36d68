"""Launch LLM engines, time every token, grade the same responses, and show which setting is system-optimal."""

__version__ = "0.1.0"
__all__ = ["__version__"]
