"""What a machine is: a catalogue of accelerators, the limits of one, and what was measured of this machine."""

from tts_compare.machine.catalogue import Accelerator, catalogue
from tts_compare.machine.spec import PlannedMachine, machine_from

__all__ = ["Accelerator", "PlannedMachine", "catalogue", "machine_from"]
