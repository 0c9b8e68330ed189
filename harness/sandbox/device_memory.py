"""Memory of a GPU that two processes share: the referee makes it, a predictor writes its logits there.

Standard library only: this file also travels into the sandbox. The handle is an open file, as CUDA's virtual memory
management gives it (CUDA driver API, "Virtual Memory Management"), so it crosses namespaces, which CUDA's older
handles for processes do not. What is shared is an allocation of its own: nothing else lies in its pages.
"""

import ctypes
import os
from typing import Any

_PINNED, _DEVICE, _FILE_DESCRIPTOR, _READ_WRITE = 1, 1, 1, 3  # enumerators of cuda.h


class DeviceMemoryUnavailable(Exception):
    """No driver, no GPU, or one that cannot share memory this way."""


class _Location(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int), ("id", ctypes.c_int))


class _Properties(ctypes.Structure):
    """CUmemAllocationProp."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("handle_types", ctypes.c_int),
        ("location", _Location),
        ("windows_only", ctypes.c_void_p),
        ("flags", ctypes.c_ubyte * 8),
    )


class _Access(ctypes.Structure):
    """CUmemAccessDesc."""

    _fields_ = (("location", _Location), ("flags", ctypes.c_int))


class DeviceMemory:
    """One piece of shared memory on the first GPU that CUDA shows this process, mapped here at `address`."""

    def __init__(self, size_bytes: int, descriptor: int | None = None) -> None:
        """descriptor: of a piece of the same `size_bytes` that another process made; None makes one, of zeros.

        The calling thread has a CUDA context. Raises DeviceMemoryUnavailable.
        """
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise DeviceMemoryUnavailable(str(error)) from None
        self._handle = ctypes.c_uint64()
        self._address = ctypes.c_uint64()
        location = _Location(_DEVICE, 0)
        properties = _Properties(_PINNED, _FILE_DESCRIPTOR, location)
        self.size_bytes = self._rounded(size_bytes, properties)
        if descriptor is None:
            self._call("cuMemCreate", self._out(self._handle), self._size, ctypes.byref(properties), _64(0))
        else:
            file = ctypes.c_void_p(descriptor)
            self._call("cuMemImportFromShareableHandle", self._out(self._handle), file, _FILE_DESCRIPTOR)
        try:
            self._map(location)
            if descriptor is None:
                self._call("cuMemsetD8_v2", self._address, ctypes.c_ubyte(0), self._size)
                self._call("cuCtxSynchronize")
        except DeviceMemoryUnavailable:
            self.close()
            raise

    @property
    def address(self) -> int:
        return int(self._address.value)

    @property
    def _size(self) -> ctypes.c_size_t:
        return ctypes.c_size_t(self.size_bytes)

    def _rounded(self, size_bytes: int, properties: _Properties) -> int:
        step = ctypes.c_size_t()
        self._call("cuMemGetAllocationGranularity", self._out(step), ctypes.byref(properties), 0)
        return -(-size_bytes // step.value) * step.value

    def _map(self, location: _Location) -> None:
        self._call("cuMemAddressReserve", self._out(self._address), self._size, _SIZE_0, _64(0), _64(0))
        self._call("cuMemMap", self._address, self._size, _SIZE_0, self._handle, _64(0))
        access = _Access(location, _READ_WRITE)
        self._call("cuMemSetAccess", self._address, self._size, ctypes.byref(access), ctypes.c_size_t(1))

    def export(self) -> int:
        """An open file for another process; the caller closes it. Raises DeviceMemoryUnavailable."""
        descriptor = ctypes.c_int(-1)
        self._call(
            "cuMemExportToShareableHandle", self._out(descriptor), self._handle, _FILE_DESCRIPTOR, _64(0)
        )
        os.set_inheritable(descriptor.value, False)
        return descriptor.value

    def array_interface(self, offset: int, shape: tuple[int, ...], kind: str) -> "DeviceArray":
        """What torch.as_tensor makes a tensor of that lies here. kind: NumPy's word for the type, as "<f4"."""
        return DeviceArray(self, self.address + offset, shape, kind)

    def close(self) -> None:
        """Give it back; tensors that lie here must be gone."""
        if self._address.value:
            self._quietly("cuMemUnmap", self._address, self._size)
            self._quietly("cuMemAddressFree", self._address, self._size)
            self._address = ctypes.c_uint64()
        if self._handle.value:
            self._quietly("cuMemRelease", self._handle)
            self._handle = ctypes.c_uint64()

    def _call(self, name: str, *arguments: Any) -> None:
        if error := getattr(self._cuda, name)(*arguments):
            raise DeviceMemoryUnavailable(f"{name} gave error {error}")

    def _quietly(self, name: str, *arguments: Any) -> None:
        getattr(self._cuda, name)(*arguments)

    @staticmethod
    def _out(value: Any) -> Any:
        return ctypes.byref(value)


class DeviceArray:
    """Part of a DeviceMemory, by the protocol with which libraries hand arrays to each other."""

    def __init__(self, memory: DeviceMemory, address: int, shape: tuple[int, ...], kind: str) -> None:
        self._memory = memory  # stays mapped as long as anybody looks at it
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": kind,
            "data": (address, False),
            "version": 3,
        }


_64 = ctypes.c_uint64
_SIZE_0 = ctypes.c_size_t(0)
