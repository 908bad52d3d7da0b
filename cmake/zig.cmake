# Cross-compiles with `zig cc`, which brings the C libraries of its targets: scripts/cross.sh has the targets, and makes for each a
# directory WEFT_ZIG with the commands cc, ar and ranlib.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WEFT_ZIG WEFT_ZIG_SYSTEM WEFT_ZIG_PROCESSOR)
set(CMAKE_SYSTEM_NAME ${WEFT_ZIG_SYSTEM})
set(CMAKE_SYSTEM_PROCESSOR ${WEFT_ZIG_PROCESSOR})
set(CMAKE_C_COMPILER ${WEFT_ZIG}/cc)
set(CMAKE_ASM_COMPILER ${WEFT_ZIG}/cc)
set(CMAKE_AR ${WEFT_ZIG}/ar)
set(CMAKE_RANLIB ${WEFT_ZIG}/ranlib)
