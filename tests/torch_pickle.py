"""Files as torch.save writes them, and as it would never: instruction by instruction, without torch."""

import struct
import zipfile

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key, kind, elements, tail=b""):
    return (
        b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text(key) + text("cpu") + number(elements) + tail + b"tQ"
    )


def tensor(stored, shape, strides, offset=0, tail=b""):
    hooks = b"\x89" + ORDERED_DICT
    arguments = stored + number(offset) + numbers(shape) + numbers(strides) + hooks + tail
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def state_dict(**entries):
    items = b"".join(text(name) + value for name, value in entries.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + b"u."


def archive(path, pickle, storages=(), *, folder="model", byteorder=b"little", compression=zipfile.ZIP_STORED):
    """``storages``: pairs of key and bytes."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(f"{folder}/data.pkl", pickle)
        file.writestr(f"{folder}/byteorder", byteorder)
        for key, data in storages:
            file.writestr(f"{folder}/data/{key}", data)
    return path


def legacy(path, pickle, storages=(), magic=0x1950A86A20F9469CFC6C, version=1001, little=b"\x88"):
    """``storages``: triples of key, number of elements and bytes."""
    head = b"\x80\x02" + number(magic) + b".\x80\x02" + number(version) + b"."
    machine = b"\x80\x02}(" + text("little_endian") + little + b"u."
    keys = b"\x80\x02](" + b"".join(text(key) for key, _, _ in storages) + b"e."
    values = b"".join(struct.pack("<Q", count) + data for _, count, data in storages)
    path.write_bytes(head + machine + pickle + keys + values)
    return path
