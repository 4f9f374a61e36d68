"""The entry point through which SGLang finds the plain CPU platform; imports nothing of SGLang itself."""


def activate() -> str:
    """The class SGLang is to load as its platform."""
    return "tts_compare_sglang_cpu.platform.PlainCpuPlatform"
