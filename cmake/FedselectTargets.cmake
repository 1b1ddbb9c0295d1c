# One static library per folder of src. The link line enforces the direction of dependency.

add_library(fedselect_options INTERFACE)
target_compile_features(fedselect_options INTERFACE cxx_std_20)
target_compile_options(fedselect_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow
  -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual)
if(FEDSELECT_WARNINGS_AS_ERRORS)
  target_compile_options(fedselect_options INTERFACE -Werror)
endif()

# fedselect_library(<folder> SOURCES ... PUBLIC ... PRIVATE ...)
function(fedselect_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(fedselect_${name} STATIC ${ARG_SOURCES})
  add_library(fedselect::${name} ALIAS fedselect_${name})
  target_include_directories(fedselect_${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/fedselect>)
  target_link_libraries(fedselect_${name} PUBLIC ${ARG_PUBLIC}
                        PRIVATE fedselect_options ${ARG_PRIVATE})
  # Only kernels may fuse multiplications with additions; elsewhere results don't depend on the compiler.
  target_compile_options(fedselect_${name} PRIVATE -ffp-contract=off)
  set_target_properties(fedselect_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY FEDSELECT_LIBRARIES fedselect_${name})
endfunction()

# Compiles the sources once per instruction set and adds them to the target; FEDSELECT_ISA names the set,
# and the program picks one when it starts, so one binary serves every node of a cluster.
function(fedselect_isa_sources target)
  set(flags_baseline "")
  set(isas baseline)
  # Clang 14 doesn't know the levels of x86-64 by the names that the program asks for.
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT FEDSELECT_FUZZ)
    set(flags_avx2 -march=x86-64-v3)
    set(flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
    list(APPEND isas avx2 avx512)
  endif()
  foreach(isa ${isas})
    add_library(${target}_${isa} OBJECT ${ARGN})
    target_include_directories(${target}_${isa} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(${target}_${isa} PRIVATE fedselect_options)
    target_compile_definitions(${target}_${isa} PRIVATE FEDSELECT_ISA=${isa})
    target_compile_options(${target}_${isa} PRIVATE -ffp-contract=fast -fno-math-errno -fno-trapping-math ${flags_${isa}})
    set_target_properties(${target}_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
  endforeach()
  target_compile_definitions(${target} PRIVATE
    $<$<BOOL:${flags_avx512}>:FEDSELECT_X86_KERNELS>)
endfunction()
