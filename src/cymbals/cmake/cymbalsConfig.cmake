# find_package(cymbals CONFIG): the target cymbals::cymbals, header and library of the Python package that this stands in.
#     cmake -Dcymbals_DIR=$(python -m cymbals --cmakedir) ...
get_filename_component(_cymbals "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
if(NOT TARGET cymbals::cymbals)
  add_library(cymbals::cymbals SHARED IMPORTED)
  set_target_properties(cymbals::cymbals PROPERTIES
    IMPORTED_LOCATION "${_cymbals}/libcymbals.so"
    IMPORTED_SONAME "libcymbals.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_cymbals}/include")
endif()
unset(_cymbals)
