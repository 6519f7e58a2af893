// A KMIP server (Debian's PyKMIP) on a free loopback port, its certificates and its database in a
// private directory. All of it goes with the object, and with the process.
#ifndef REWRAP_TESTS_HSM_KMIP_FIXTURE_H_
#define REWRAP_TESTS_HSM_KMIP_FIXTURE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hsm/kmip/client.h"
#include "tests/hsm/kmip_pki.h"

namespace rewrap::test {

// Child is a program of which we hold both ends. It ends with this process.
struct Child {
  pid_t pid = -1;
  int in = -1;   // what it reads
  int out = -1;  // what it prints
};

class PyKmip {
 public:
  // Ends the program with a message if there is no server to be had: a test without its server is no
  // test.
  PyKmip();
  PyKmip(const PyKmip&) = delete;
  PyKmip& operator=(const PyKmip&) = delete;
  ~PyKmip();

  // shared gives the one server of this process, which is started when it is first asked for: a start
  // takes half a second. Tests use keys of names of their own (unique_name).
  static PyKmip& shared();
  static std::string unique_name(const std::string& stem);

  // uri names the root key by these attributes ("name=x"), with the client's files.
  [[nodiscard]] std::string uri(const std::string& root_key) const;
  // uri_as does the same as another client, whose files save_client has made.
  [[nodiscard]] std::string uri_as(const std::string& client, const std::string& root_key) const;
  void save_client(const std::string& client, const PemPair& pair) const;

  // server names this server to a KmipClient, as the client of uri().
  [[nodiscard]] KmipEndpoint server() const;

  // python has PyKMIP's client do something (see kmip_client.py) and gives its answer; a failure fails
  // the test.
  std::string python(const std::string& command);

  [[nodiscard]] const TestCa& ca() const { return ca_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::string log() const;

 private:
  void write(const std::string& name, const std::string& text) const;

  std::string folder_;
  TestCa ca_;
  PemPair client_;
  Child server_;
  Child python_;  // started when it is first asked
  std::uint16_t port_ = 0;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_KMIP_FIXTURE_H_
