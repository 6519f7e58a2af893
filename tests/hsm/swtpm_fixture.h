// A software TPM 2.0 (swtpm) in a private directory, for tests. The process, its state and the
// directory go with the object. It has no resource manager: room for three objects and three sessions,
// and what a program leaves in it stays.
#ifndef REWRAP_TESTS_HSM_SWTPM_FIXTURE_H_
#define REWRAP_TESTS_HSM_SWTPM_FIXTURE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"

namespace rewrap::test {

class SoftTpm {
 public:
  // Ends the program with a message if there is no swtpm to be had: a test without its TPM is no
  // test.
  SoftTpm();
  SoftTpm(const SoftTpm&) = delete;
  SoftTpm& operator=(const SoftTpm&) = delete;
  ~SoftTpm();

  // tcti is how libtss2 reaches this TPM; uri is the root's URI with that and `more` attributes.
  [[nodiscard]] std::string tcti() const { return "swtpm:path=" + socket(); }
  [[nodiscard]] std::string uri(const std::string& more = "") const;

  // stop ends the process as a power cut does; start brings the TPM up again with its old state.
  void stop();
  void start();

  [[nodiscard]] pid_t process_id() const { return pid_; }

  // tool runs tpm2-tools (words[0] is the tool without "tpm2_") and gives what it printed; a failure
  // fails the test. try_tool says only whether it succeeded.
  std::string tool(const std::vector<std::string>& words) const;
  [[nodiscard]] bool try_tool(const std::vector<std::string>& words) const;

  // leftovers lists the transient objects and sessions that the TPM holds; empty if none.
  [[nodiscard]] std::string leftovers() const;

  // path names a file in the private directory; write_file puts `text` there, mode 0600; read_file
  // gives what a tool wrote there.
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write_file(const std::string& name, ByteView text) const;
  [[nodiscard]] Bytes read_file(const std::string& name) const;

  // extend_pcr changes a PCR of the sha256 bank for good, until the next power cut.
  void extend_pcr(int pcr) const;

 private:
  [[nodiscard]] std::string socket() const { return folder_ + "/tpm"; }

  std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_SWTPM_FIXTURE_H_
