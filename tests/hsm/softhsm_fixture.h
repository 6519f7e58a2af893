// A SoftHSM token in a private directory, for tests. The directory and the token go with the
// object. SoftHSM reads its configuration when it is initialised, so make the token before any root
// is opened, and let every root go before the token. One such object at a time per process (the
// configuration's name is in the environment).
#ifndef REWRAP_TESTS_HSM_SOFTHSM_FIXTURE_H_
#define REWRAP_TESTS_HSM_SOFTHSM_FIXTURE_H_

#include <string>

namespace rewrap::test {

class SoftHsmToken {
 public:
  // Ends the program with a message if there is no token to be had: a test without its token is no
  // test.
  explicit SoftHsmToken(const std::string& label = "rewrap-test");
  SoftHsmToken(const SoftHsmToken&) = delete;
  SoftHsmToken& operator=(const SoftHsmToken&) = delete;
  ~SoftHsmToken();

  // uri names the key `object` in the token, with the module and the PIN file; without `object`,
  // only the token.
  [[nodiscard]] std::string uri(const std::string& object = "") const;

  // uri_with is uri() with another module or PIN file.
  [[nodiscard]] std::string uri_with(const std::string& object, const std::string& module_path,
                                     const std::string& pin_file) const;

  // add_token makes one more token in the same directory, with the same PIN.
  void add_token(const std::string& label);

  // write_file puts `text` under `name` in the private directory, mode 0600, and gives its path.
  std::string write_file(const std::string& name, const std::string& text) const;

  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] const std::string& label() const { return label_; }
  [[nodiscard]] const std::string& pin_file() const { return pin_file_; }
  [[nodiscard]] const std::string& pin() const { return pin_; }
  [[nodiscard]] static std::string module_path();

 private:
  std::string folder_;
  std::string label_;
  std::string pin_file_;
  std::string pin_ = "1234";
};

// make_private_folder makes a new directory, mode 0700, under the system's temporary directory.
std::string make_private_folder();

// remove_folder removes it and what is in it.
void remove_folder(const std::string& folder);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_SOFTHSM_FIXTURE_H_
