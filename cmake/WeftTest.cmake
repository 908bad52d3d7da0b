# weft_test(name [source...] [LABELS label...] [NOPROCS])
#
# A test program: tests/<name>.c, and further sources if any, with the harness, against the static library. CTest runs it once with
# each number of processors, as name.p1, name.p2 and name.p4; with NOPROCS just once, as name.

add_library(weft_harness STATIC harness/check.c harness/co.c harness/run.c)
weft_compile(weft_harness)
target_link_libraries(weft_harness PUBLIC weft_static)
target_include_directories(weft_harness PUBLIC harness)
target_compile_definitions(weft_harness PUBLIC WEFT_TEST_SLOWDOWN=${WEFT_SLOWDOWN})

function(weft_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "NOPROCS" "" "LABELS")
	add_executable(${name} ${name}.c ${arg_UNPARSED_ARGUMENTS})
	weft_compile(${name})
	weft_see_inside(${name})
	target_link_libraries(${name} PRIVATE weft_harness)
	if(arg_NOPROCS)
		weft_add_test(${name} COMMAND ${name})
		set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
		return()
	endif()
	foreach(procs 1 2 4)
		weft_add_test(${name}.p${procs} COMMAND ${name})
		set_tests_properties(${name}.p${procs} PROPERTIES LABELS "${arg_LABELS}" ENVIRONMENT WEFT_MAXPROCS=${procs})
	endforeach()
endfunction()

# add_test with what all tests have in common. The harness limits each case; this is for the program as a whole.
function(weft_add_test name)
	add_test(NAME ${name} ${ARGN})
	set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
endfunction()

# A test that is a script: weft_script(name script argument...), with paths as the script sees them.
function(weft_script name script)
	weft_add_test(${name} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${ARGN})
endfunction()
