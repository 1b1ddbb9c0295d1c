# fedselect_test(<name> SOURCES ... LINK ... [RANKS 1 2 3 4] [LABELS ...])
# One GoogleTest program; with RANKS it runs once under mpirun for each number of ranks, oversubscribed.
# Every test has a timeout: a hang is a failure, not a wait.
include(GoogleTest)

set(FEDSELECT_MPIRUN ${CMAKE_SOURCE_DIR}/tests/mpirun.sh)

function(fedselect_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;RANKS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE fedselect_options ${ARG_LINK})
  target_compile_options(${name} PRIVATE -O1)  # half the time to build
  if(ARG_RANKS)
    target_link_libraries(${name} PRIVATE fedselect_test_mpi_main)
    foreach(n ${ARG_RANKS})
      add_test(NAME ${name}.np${n} COMMAND ${FEDSELECT_MPIRUN} ${n} $<TARGET_FILE:${name}>)
      set_tests_properties(${name}.np${n} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
        PROCESSORS ${n} LABELS "mpi;${ARG_LABELS}")
    endforeach()
  else()
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "unit;${ARG_LABELS}")
  endif()
endfunction()
