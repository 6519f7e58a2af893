# Everything rewrap links, from Debian 12 packages; the reasons are in docs/dependencies.md. Nothing is downloaded.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(CLI11 REQUIRED)
find_package(CURL 7.85 REQUIRED)
pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(P11KIT REQUIRED IMPORTED_TARGET p11-kit-1)
pkg_check_modules(TSS2 REQUIRED IMPORTED_TARGET tss2-esys tss2-tctildr tss2-mu)

# ipsec-mb is for x86-64 and brings neither a .pc file nor a CMake package.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
  find_path(IPSECMB_INCLUDE_DIR intel-ipsec-mb.h REQUIRED)
  find_library(IPSECMB_LIBRARY IPSec_MB REQUIRED)
  add_library(IPSecMB::IPSecMB UNKNOWN IMPORTED)
  set_target_properties(IPSecMB::IPSecMB PROPERTIES
    IMPORTED_LOCATION ${IPSECMB_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${IPSECMB_INCLUDE_DIR})
endif()

if(REWRAP_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(REWRAP_BUILD_BENCH)
  find_package(benchmark REQUIRED)
  pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
  pkg_check_modules(GCRYPT REQUIRED IMPORTED_TARGET libgcrypt)
  pkg_check_modules(BOTAN REQUIRED IMPORTED_TARGET botan-2)
endif()
