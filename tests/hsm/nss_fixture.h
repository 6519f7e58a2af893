// A token of NSS's softoken in a private directory, for tests: the second implementation of PKCS#11,
// which shares no code with SoftHSM. The directory and the token go with the object. Let every root
// go before the token; one such object at a time per process (softoken keeps the directory that it
// was first told of).
#ifndef REWRAP_TESTS_HSM_NSS_FIXTURE_H_
#define REWRAP_TESTS_HSM_NSS_FIXTURE_H_

#include <string>

namespace rewrap::test {

class NssToken {
 public:
  // Ends the program with a message if there is no token to be had: a test without its token is no
  // test.
  NssToken();
  NssToken(const NssToken&) = delete;
  NssToken& operator=(const NssToken&) = delete;
  ~NssToken();

  // uri_with names the key `object` (which may go on with ";id=..."), the module and the PIN file.
  [[nodiscard]] std::string uri_with(const std::string& object, const std::string& module_path,
                                     const std::string& pin_file) const;
  [[nodiscard]] std::string uri(const std::string& object = "") const;

  // write_file puts `text` under `name` in the private directory, mode 0600, and gives its path.
  [[nodiscard]] std::string write_file(const std::string& name, const std::string& text) const;

  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] const std::string& pin_file() const { return pin_file_; }
  [[nodiscard]] static std::string module_path();

 private:
  std::string folder_;
  std::string pin_file_;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_NSS_FIXTURE_H_
