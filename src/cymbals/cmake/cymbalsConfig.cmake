# find_package(cymbals CONFIG): the target cymbals::cymbals, header and library of the Python package that this stands in.
#     cmake -Dcymbals_DIR=$(python -m cymbals --cmakedir) ...
get_filename_component(_cymbals "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
if(NOT TARGET cymbals::cymbals)
  add_library(cymbals::cymbals SHARED IMPORTED)
  set_target_properties(cymbals::cymbals PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_cymbals}/include")
  if(WIN32)
    set_target_properties(cymbals::cymbals PROPERTIES
      IMPORTED_LOCATION "${_cymbals}/cymbals.dll"
      IMPORTED_IMPLIB "${_cymbals}/cymbals.lib")
  elseif(APPLE)
    set_target_properties(cymbals::cymbals PROPERTIES
      IMPORTED_LOCATION "${_cymbals}/libcymbals.dylib"
      IMPORTED_SONAME "@rpath/libcymbals.dylib")
  else()
    set_target_properties(cymbals::cymbals PROPERTIES
      IMPORTED_LOCATION "${_cymbals}/libcymbals.so"
      IMPORTED_SONAME "libcymbals.so")
  endif()
endif()
unset(_cymbals)
