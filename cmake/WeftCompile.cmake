# How C is compiled here: one function for everything, one more for the library itself.

include(CheckCCompilerFlag)
include(CheckLinkerFlag)
include(CheckSymbolExists)

# Sets <variable> to those flags that the compiler knows, and does not ignore.
function(weft_known_flags variable)
	set(known)
	set(CMAKE_REQUIRED_FLAGS -Werror)
	foreach(flag ${ARGN})
		string(MAKE_C_IDENTIFIER "WEFT_KNOWS${flag}" name)
		check_c_compiler_flag(${flag} ${name})
		if(${name})
			list(APPEND known ${flag})
		endif()
	endforeach()
	set(${variable} ${known} PARENT_SCOPE)
endfunction()

# Sets <variable> to those flags that the linker knows.
function(weft_known_link_flags variable)
	set(known)
	foreach(flag ${ARGN})
		string(MAKE_C_IDENTIFIER "WEFT_KNOWS_${flag}" name)
		check_linker_flag(C ${flag} ${name})
		if(${name})
			list(APPEND known ${flag})
		endif()
	endforeach()
	set(${variable} ${known} PARENT_SCOPE)
endfunction()

set(WEFT_WARNINGS
	-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla)
if(WEFT_WERROR)
	list(APPEND WEFT_WARNINGS -Werror)
endif()
check_symbol_exists(__GLIBC__ features.h WEFT_GLIBC)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT WEFT_GLIBC)
	list(APPEND WEFT_WARNINGS -Wno-sign-compare) # CMSG_NXTHDR of musl
endif()

# Stack probes, so that no frame can jump over the guard below a stack. Landing pads for indirect branches; no shadow stacks, which
# the switch doesn't switch.
if(WEFT_ARCH STREQUAL "x86_64")
	weft_known_flags(WEFT_HARDENING -fstack-clash-protection -fcf-protection=branch -fno-semantic-interposition)
else()
	weft_known_flags(WEFT_HARDENING -fstack-clash-protection -mbranch-protection=standard -fno-semantic-interposition)
endif()

set(WEFT_INSTRUMENTS)
set(WEFT_SLOWDOWN 1) # by how much tests divide their counts
if(WEFT_SANITIZE STREQUAL "address")
	set(WEFT_INSTRUMENTS -fsanitize=address,undefined -fno-sanitize-recover=all)
	set(WEFT_SLOWDOWN 4)
elseif(WEFT_SANITIZE STREQUAL "thread")
	set(WEFT_INSTRUMENTS -fsanitize=thread)
	set(WEFT_SLOWDOWN 10)
elseif(WEFT_SANITIZE)
	message(FATAL_ERROR "WEFT_SANITIZE is \"address\", \"thread\" or empty, not \"${WEFT_SANITIZE}\"")
endif()
if(WEFT_COVERAGE)
	list(APPEND WEFT_INSTRUMENTS --coverage -fprofile-update=atomic -fprofile-abs-path)
endif()
if(WEFT_STRESS)
	set(WEFT_SLOWDOWN 4)
endif()
if(CMAKE_CROSSCOMPILING)
	set(WEFT_SLOWDOWN 10)
endif()

# Everything written in C in this tree: the library, tests, examples, benchmarks.
function(weft_compile target)
	set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
	target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
	target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
	target_compile_options(${target} PRIVATE
		"$<$<COMPILE_LANGUAGE:C>:${WEFT_WARNINGS};-fno-omit-frame-pointer;${WEFT_INSTRUMENTS}>")
endfunction()

# What sees the inside of the library: itself and the tests. The switches must be the same on both sides.
function(weft_see_inside target)
	foreach(directory runtime net)
		# For #include "..." alone: <sched.h> of the system is another one.
		target_compile_options(${target} PRIVATE "SHELL:-iquote \"${PROJECT_SOURCE_DIR}/${directory}\"")
	endforeach()
	target_include_directories(${target} SYSTEM PRIVATE ${WEFT_ATOMIC_OPS_INCLUDE_DIR})
	if(WEFT_SHIM)
		target_include_directories(${target} SYSTEM PRIVATE ${PROJECT_SOURCE_DIR}/tests/shim)
	endif()
	target_compile_definitions(${target} PRIVATE
		$<$<OR:$<BOOL:${WEFT_DEBUG}>,$<BOOL:${WEFT_STRESS}>>:WEFT_DEBUG>
		$<$<BOOL:${WEFT_STRESS}>:WEFT_STRESS>
		$<$<BOOL:${WEFT_VALGRIND}>:WEFT_VALGRIND>)
	if(WEFT_VALGRIND)
		target_include_directories(${target} SYSTEM PRIVATE ${WEFT_VALGRIND_INCLUDE_DIR})
	endif()
endfunction()

# The library itself.
function(weft_harden target)
	target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C>:${WEFT_HARDENING}>")
endfunction()

# Who links an instrumented library must bring the same instruments; nothing in other builds.
function(weft_link_instrumented target)
	if(WEFT_INSTRUMENTS)
		target_link_options(${target} PUBLIC ${WEFT_INSTRUMENTS})
	endif()
endfunction()
