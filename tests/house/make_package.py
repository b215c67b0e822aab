"""Makes a tiny wheel that carries a model, and the models.json that pins it.

usage: make_package.py WHEEL_FOLDER DATASETS_FOLDER
"""

import hashlib
import json
import pathlib
import sys
import zipfile

WEIGHTS = b"weights of a tiny model"
WORDS = b"its words"
METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def main():
    path = pathlib.Path(sys.argv[1]) / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny_model/tiny.gguf", WEIGHTS)
        wheel.writestr("tiny_model/words.json", WORDS)
        wheel.writestr("tiny_model-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tiny_model-1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("tiny_model-1.0.dist-info/RECORD", "")
    model = {
        "name": "tiny", "attribution": "nobody", "licence": "none",
        "files": [{"name": "tiny.gguf", "bytes": len(WEIGHTS), "sha256": sha256(WEIGHTS)}],
        "pypi": {"package": "tiny-model", "version": "1.0", "distribution": path.name,
                 "kind": "wheel", "sha256": sha256(path.read_bytes()),
                 "member": "tiny_model/tiny.gguf",
                 "beside": [{"name": "words.json", "member": "tiny_model/words.json",
                             "bytes": len(WORDS), "sha256": sha256(WORDS)}]},
    }
    known = json.dumps({"models": [model, {"name": "nobody", "pypi": None}]})
    (pathlib.Path(sys.argv[2]) / "models.json").write_text(known)


if __name__ == "__main__":
    main()
