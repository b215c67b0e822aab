"""What NVML tells of the GPU: driver, clocks, power. Whatever it doesn't tell is absent."""

from __future__ import annotations

import ctypes as c

_CLOCKS = {"sm_mhz": 1, "memory_mhz": 2}  # nvmlClockType_t


class Gpu:
    """One GPU, by its UUID as PyTorch gives it."""

    def __init__(self, uuid: object) -> None:
        self._lib: c.CDLL | None = None
        self._device = c.c_void_p()
        try:
            lib = c.CDLL("libnvidia-ml.so.1")
            name = str(uuid).encode()
            name = name if name.startswith((b"GPU-", b"MIG-")) else b"GPU-" + name
            if lib.nvmlInit_v2() == 0 and \
                    lib.nvmlDeviceGetHandleByUUID(name, c.byref(self._device)) == 0:
                self._lib = lib
        except (OSError, AttributeError):
            pass

    def _number(self, call: str, *arguments: int) -> int | None:
        value = c.c_uint()
        try:
            status = getattr(self._lib, call)(self._device, *arguments, c.byref(value))
        except AttributeError:
            return None
        return value.value if status == 0 else None

    def driver(self) -> str | None:
        text = c.create_string_buffer(96)
        if self._lib is None or self._lib.nvmlSystemGetDriverVersion(text, len(text)) != 0:
            return None
        return text.value.decode(errors="replace")

    def limits(self) -> dict[str, float]:
        """The highest clocks, and the most power that it may draw."""
        if self._lib is None:
            return {}
        told = {f"max_{name}": self._number("nvmlDeviceGetMaxClockInfo", kind)
                for name, kind in _CLOCKS.items()}
        return _there(told, self._number("nvmlDeviceGetEnforcedPowerLimit"), "power_limit_w")

    def reading(self) -> dict[str, float]:
        """Clocks and power now."""
        if self._lib is None:
            return {}
        told = {name: self._number("nvmlDeviceGetClockInfo", kind) for name, kind in _CLOCKS.items()}
        return _there(told, self._number("nvmlDeviceGetPowerUsage"), "power_w")


def _there(told: dict[str, int | None], milliwatts: int | None, power: str) -> dict[str, float]:
    there: dict[str, float] = {name: value for name, value in told.items() if value is not None}
    if milliwatts is not None:
        there[power] = milliwatts / 1000
    return there
