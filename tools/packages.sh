# shellcheck shell=bash
# What Norma needs of Debian or Ubuntu, for tools/quickstart and tools/test to source.

# The suite's build folder is the same, hence g++ and cmocka.
packages_build='gcc g++ meson ninja-build pkg-config glslc libvulkan-dev opencl-headers ocl-icd-opencl-dev libpopt-dev libcjson-dev libcairo2-dev libcmocka-dev python3'
packages_drivers='pocl-opencl-icd ocl-icd-libopencl1 mesa-vulkan-drivers libvulkan1'
packages_tests='cmake dpkg-dev vulkan-validationlayers spirv-tools clang-format cppcheck python3-numpy python3-yaml python3-venv python3-torch'
# Compilers for other systems (tools/cross), and what runs their programs here: on x86-64 alone.
packages_cross='gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user gcc-mingw-w64-x86-64-posix wine64 musl-tools'

# has_package NAME: by dpkg, or something that does the same from elsewhere
has_package() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] && return
    case $1 in
    gcc | g++ | meson | pkg-config | glslc | python3 | cppcheck | clang-format | cmake) command -v "$1" ;;
    ninja-build) command -v ninja ;;
    spirv-tools) command -v spirv-val ;;
    dpkg-dev) command -v dpkg-shlibdeps ;;
    libvulkan-dev) echo '#include <vulkan/vulkan.h>' | cc -E - ;;
    opencl-headers) echo '#include <CL/cl.h>' | cc -E - ;;
    libpopt-dev) pkg-config --exists popt ;;
    libcjson-dev) pkg-config --exists libcjson ;;
    libcairo2-dev) pkg-config --exists cairo-svg ;;
    ocl-icd-opencl-dev) pkg-config --exists OpenCL ;;
    libcmocka-dev) pkg-config --exists cmocka ;;
    *) false ;;
    esac >/dev/null 2>&1
}

# missing_packages NAME...: those that are not there, one a line
missing_packages() {
    local package
    for package; do
        has_package "$package" || echo "$package"
    done
}

# install_packages [NAME...]: what is missing of the names, or of all of the above. Needs neither root nor a network
# where nothing is.
install_packages() {
    local missing sudo=''
    # shellcheck disable=SC2086 # lists of words
    missing=$(missing_packages ${*:-$packages_build $packages_drivers $packages_tests})
    [ -z "$missing" ] && return 0
    missing=$(echo "$missing" | tr '\n' ' ')
    if ! command -v apt-get >/dev/null; then
        echo "missing, and there is no apt-get to install them: $missing" >&2
        return 1
    fi
    [ "$(id -u)" = 0 ] || sudo=sudo
    if [ "$sudo" ] && ! command -v sudo >/dev/null; then
        echo "missing, and only root may install them: apt-get install $missing" >&2
        return 1
    fi
    echo "installing $missing" >&2
    # shellcheck disable=SC2086 # lists of words
    { DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends $missing ||
        { $sudo apt-get update && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends $missing; }; } >&2
}
