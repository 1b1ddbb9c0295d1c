# cmake --install: the program, configs, and the libraries with a CMake package for programs of one's own:
#   find_package(fedselect REQUIRED)
#   target_link_libraries(mine PRIVATE fedselect::io)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fedselect)
get_property(libraries GLOBAL PROPERTY FEDSELECT_LIBRARIES)

# Clusters keep MPI and HDF5 in odd places: the installed program remembers where it found them.
set_target_properties(fedselect PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS fedselect RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fedselect/configs)
install(DIRECTORY jobs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fedselect/jobs USE_SOURCE_PERMISSIONS)

# Interfaces only: kernels and HDF5 handles stay inside.
install(DIRECTORY src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fedselect
  FILES_MATCHING PATTERN "*.hpp"
  PATTERN "app" EXCLUDE PATTERN "cpu" EXCLUDE PATTERN "methods" EXCLUDE PATTERN "formats" EXCLUDE PATTERN "hdf5*" EXCLUDE PATTERN "shared_file.hpp" EXCLUDE)
foreach(library ${libraries})
  target_compile_features(${library} INTERFACE cxx_std_20)  # the headers need it
endforeach()
set_target_properties(fedselect_options PROPERTIES EXPORT_NAME options)
install(TARGETS ${libraries} fedselect_options EXPORT fedselectTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT fedselectTargets NAMESPACE fedselect:: DESTINATION ${package_dir})

configure_package_config_file(cmake/fedselectConfig.cmake.in
  ${CMAKE_BINARY_DIR}/fedselectConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/fedselectConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/fedselectConfig.cmake
              ${CMAKE_BINARY_DIR}/fedselectConfigVersion.cmake
  DESTINATION ${package_dir})
