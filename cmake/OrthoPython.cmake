# ORTHO_PYTHON: the private environment that scripts/setup makes, with NumPy, SciPy, safetensors, gguf
# and jsonschema; else any python3, and tests that need more skip with that reason.
file(SHA256 "${PROJECT_SOURCE_DIR}/scripts/requirements.txt" _hash)
string(SUBSTRING "${_hash}" 0 12 _hash)
if(DEFINED ENV{ORTHO_CACHE})
    set(_cache "$ENV{ORTHO_CACHE}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(_cache "$ENV{XDG_CACHE_HOME}/ortho-bench")
else()
    set(_cache "$ENV{HOME}/.cache/ortho-bench")
endif()
find_program(ORTHO_PYTHON NAMES python3 HINTS "${_cache}/venv-${_hash}/bin"
             DOC "Python for the tests that compare with NumPy and its kin" REQUIRED)
