"""SGLang on a CPU by means of its own fallbacks written in plain torch; no kernel is replaced.

SGLang's built-in CPU platform imports ``sgl_kernel``, of which no wheel for CPUs is published. An out-of-tree
platform (entry point group ``sglang.srt.platforms``) does not: SGLang 0.5.23 then takes torch's attention.
"""

from sglang.srt.platforms.cpu import CpuDeviceMixin
from sglang.srt.platforms.device_mixin import PlatformEnum
from sglang.srt.platforms.interface import PlatformCapabilities, SRTPlatform


class PlainCpuPlatform(CpuDeviceMixin, SRTPlatform):
    """A CPU whose operations are all torch's own."""

    _enum = PlatformEnum.OOT
    device_name = "cpu"
    device_type = "cpu"
    capabilities = PlatformCapabilities()

    def get_default_attention_backend(self) -> str:
        """Attention by torch's scaled_dot_product_attention."""
        return "torch_native"

    def get_compile_backend(self, mode: str | None = None) -> str:
        """No compilation: inductor would need a C++ compiler and minutes at every start."""
        return "eager"

    def supports_speculative_algorithm(self, algorithm: str) -> bool:
        """None: NGRAM needs sgl_kernel, the others a GPU's Triton."""
        return False
