# cmake --install: the binary, libortho (shared and static), headers, pkg-config, CMake package, man page,
# completions. The package files find their prefix from where they lie, so an installed tree can be moved.
include(CMakePackageConfigHelpers)

if(ORTHO_BENCH)
    install(TARGETS ortho-bench RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(DIRECTORY include/ortho DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")

# What the command line's own option table prints; made by target docs_man.
set(_share "${PROJECT_BINARY_DIR}/share")
install(FILES "${_share}/man/man1/ortho-bench.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" OPTIONAL)
install(FILES "${_share}/completions/ortho-bench.bash" RENAME ortho-bench OPTIONAL
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
install(FILES "${_share}/completions/_ortho-bench" OPTIONAL
        DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
install(FILES "${_share}/completions/ortho-bench.fish" OPTIONAL
        DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")

if(TARGET ortho_shared AND TARGET ortho_static)
    install(TARGETS ortho_shared ortho_static
            LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")

    # What the static library needs of the system.
    set(ORTHO_PC_PRIVATE "-ljansson -lxxhash -lgomp -lm -ldl -lpthread")
    if(ORTHO_URING_LIBRARY)
        string(APPEND ORTHO_PC_PRIVATE " -luring")
    endif()
    if(ORTHO_HAVE_CUDA)
        string(APPEND ORTHO_PC_PRIVATE " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lrt -lstdc++")
    endif()
    set(_pkgconfig "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
    file(RELATIVE_PATH ORTHO_PC_PREFIX "/x/${_pkgconfig}" "/x")
    configure_file(cmake/ortho.pc.in "${PROJECT_BINARY_DIR}/ortho.pc" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/ortho.pc" DESTINATION "${_pkgconfig}")

    set(_package "${CMAKE_INSTALL_LIBDIR}/cmake/ortho")
    configure_package_config_file(cmake/ortho-config.cmake.in "${PROJECT_BINARY_DIR}/ortho-config.cmake"
        INSTALL_DESTINATION "${_package}" PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
    write_basic_package_version_file("${PROJECT_BINARY_DIR}/ortho-config-version.cmake"
                                     COMPATIBILITY SameMinorVersion)
    install(FILES "${PROJECT_BINARY_DIR}/ortho-config.cmake"
                  "${PROJECT_BINARY_DIR}/ortho-config-version.cmake" DESTINATION "${_package}")
endif()
