# cmake -DSOURCE=<repository> -DOUTPUT=<header> -P FedselectRevision.cmake
# Writes the git commit and whether tracked files differ from it; touches the header only if that changed.
set(revision unknown)
set(modified false)
find_program(git git)
if(git)
  # A source tree unpacked inside somebody else's repository must not take that one's commit.
  execute_process(COMMAND ${git} -C ${SOURCE} rev-parse --show-toplevel HEAD
    OUTPUT_VARIABLE lines OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    string(REPLACE "\n" ";" lines "${lines}")
    list(GET lines 0 top)
    file(REAL_PATH ${top} top)
    file(REAL_PATH ${SOURCE} source)
    if(top STREQUAL source)
      list(GET lines 1 revision)
      execute_process(COMMAND ${git} -C ${SOURCE} diff --quiet HEAD RESULT_VARIABLE differs
        OUTPUT_QUIET ERROR_QUIET)
      if(differs)
        set(modified true)
      endif()
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#pragma once

#include <string_view>

inline constexpr std::string_view kGitRevision = "@revision@";
inline constexpr bool kGitModified = @modified@;
]])
