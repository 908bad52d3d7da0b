# Cross-compiles for aarch64 with Debian's gcc-aarch64-linux-gnu, and runs tests under qemu-user. pauth-impdef: signing pointers
# costs about 1 us each in the default algorithm's emulation.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-cpu;max,pauth-impdef=on;-L;/usr/aarch64-linux-gnu)
