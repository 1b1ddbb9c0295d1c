# Decides FEDSELECT_CUDA_MODE, off | on | host, from the option FEDSELECT_CUDA, and enables the language where it is on.
set(FEDSELECT_CUDA auto CACHE STRING
    "GPUs: auto (where nvcc is found), on, off, or host (kernels executed on the CPU, needs no CUDA)")
set_property(CACHE FEDSELECT_CUDA PROPERTY STRINGS auto on off host)
set(FEDSELECT_CUDA_MODE ${FEDSELECT_CUDA})
set(FEDSELECT_OLDEST_NVCC 12.8)  # the first one with C++20 and architecture 120
if(FEDSELECT_CUDA STREQUAL "auto")
  include(CheckLanguage)
  check_language(CUDA)
  set(FEDSELECT_CUDA_MODE off)
  if(CMAKE_CUDA_COMPILER)
    get_filename_component(nvcc_folder ${CMAKE_CUDA_COMPILER} DIRECTORY)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE nvcc ERROR_QUIET)
    find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${nvcc_folder}/../include ENV CUDA_HOME PATH_SUFFIXES include)
    string(REGEX MATCH "release ([0-9.]+)" nvcc "${nvcc}")
    if(CMAKE_MATCH_1 VERSION_LESS ${FEDSELECT_OLDEST_NVCC})
      message(STATUS "GPUs: off, for nvcc is version ${CMAKE_MATCH_1}: ${FEDSELECT_OLDEST_NVCC} at least is needed")
    elseif(NOT NCCL_INCLUDE_DIR)
      message(STATUS "GPUs: off, for there is no nccl.h: install NCCL, or set -DNCCL_INCLUDE_DIR and -DNCCL_LIBRARY")
    else()
      set(FEDSELECT_CUDA_MODE on)
    endif()
  endif()
endif()

if(FEDSELECT_CUDA_MODE STREQUAL "on")
  # One of each family: its machine code runs on the later members too. The last one's is also kept in the form that later
  # families compile when the program starts.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90-real 100-real 120)
  elseif(NOT CMAKE_CUDA_ARCHITECTURES)
    # OFF: machine code for every one that nvcc 13.0 knows, but 121, which runs 120's. A family is compiled once and assembled for each member, which takes
    # half the time.
    foreach(family 75:75 80:80,sm_86,sm_87,sm_88,sm_89 90:90 100:100,sm_103,sm_110 120:120,compute_120)
      string(REPLACE ":" ",code=[sm_" family ${family})
      string(APPEND CMAKE_CUDA_FLAGS " \"--generate-code=arch=compute_${family}]\"")
    endforeach()
  endif()
  enable_language(CUDA)
  # CMake 3.25 doesn't know how to ask nvcc for C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  find_package(CUDAToolkit REQUIRED)
elseif(FEDSELECT_CUDA_MODE STREQUAL "host")
  find_package(Boost REQUIRED COMPONENTS context)
elseif(NOT FEDSELECT_CUDA_MODE STREQUAL "off")
  message(FATAL_ERROR "FEDSELECT_CUDA is \"${FEDSELECT_CUDA}\": auto, on, off or host")
endif()
