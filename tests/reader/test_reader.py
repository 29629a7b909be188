import os, cryptography, zstandard, cbor2
print(os.environ.get("SB_PROGRAM"))
assert os.path.exists(os.environ["SB_PROGRAM"])
