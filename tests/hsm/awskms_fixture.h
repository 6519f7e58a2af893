// The stand-in for AWS KMS (awskms_stand_in.py) in a private directory, for tests. The server and the
// directory go with the object.
#ifndef REWRAP_TESTS_HSM_AWSKMS_FIXTURE_H_
#define REWRAP_TESTS_HSM_AWSKMS_FIXTURE_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace rewrap::test {

inline constexpr char kKmsRegion[] = "eu-test-1";

class KmsServer {
 public:
  // Ends the program with a message if the stand-in does not start: a test without its KMS is no test.
  KmsServer();
  KmsServer(const KmsServer&) = delete;
  KmsServer& operator=(const KmsServer&) = delete;
  ~KmsServer();

  // shared is one server for all tests of a process. Begin each with command("reset").
  static KmsServer& shared();

  // command gives one of the stand-in's commands, e.g. set_key {"key":"...","state":"Disabled"}, and
  // its answer. A command that fails fails the test.
  std::string command(const std::string& line) const;
  [[nodiscard]] int count(const std::string& line) const { return std::stoi(command(line)); }

  // fail makes the next `times` answers go wrong; `how` are members of a JSON object, see the
  // stand-in's Handler.answer.
  void fail(const std::string& how, int times = 1) const;

  // create_key gives the new key's ARN.
  [[nodiscard]] std::string create_key() const { return command("create_key"); }

  [[nodiscard]] std::string endpoint() const { return "https://127.0.0.1:" + port_; }

  // uri names `key` with the credentials file of that name; `more` attributes begin with '&'.
  [[nodiscard]] std::string uri(const std::string& key, const std::string& more = "",
                                const std::string& credentials = "credentials") const;

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write_file(const std::string& name, const std::string& text) const;

  // aws runs Debian's awscli against the stand-in: `aws kms WORDS...`, and gives what it printed. A
  // failure fails the test.
  std::string aws(const std::vector<std::string>& words) const;

 private:
  std::string folder_;
  std::string port_;
  pid_t pid_ = -1;
  int commands_ = -1;
  int answers_ = -1;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_AWSKMS_FIXTURE_H_
