// A SoftHSM token in a private directory, for tests. The directory and the token go with the
// object. SoftHSM reads its configuration when it is initialised, so make the token before any root
// is opened, and let every root go before the token. One such object at a time per process (the
// configuration's name is in the environment).
#ifndef REWRAP_TESTS_HSM_SOFTHSM_FIXTURE_H_
#define REWRAP_TESTS_HSM_SOFTHSM_FIXTURE_H_

#include <string>
#include <vector>

namespace rewrap::test {

// Lists for a SoftHSM that lacks something. SoftHSM's own way of taking one away ("-NAME") misses
// the first.
inline constexpr char kWithoutKeyWrap[] =
    "CKM_AES_KEY_GEN,CKM_AES_ECB,CKM_AES_GCM,CKM_RSA_PKCS_KEY_PAIR_GEN,CKM_RSA_PKCS_OAEP";
inline constexpr char kOnlyOaep[] =
    "CKM_AES_KEY_GEN,CKM_AES_ECB,CKM_RSA_PKCS_KEY_PAIR_GEN,CKM_RSA_PKCS_OAEP";
inline constexpr char kNoGuard[] = "CKM_AES_KEY_GEN,CKM_AES_ECB,CKM_RSA_PKCS_KEY_PAIR_GEN";

class SoftHsmToken {
 public:
  // Ends the program with a message if there is no token to be had: a test without its token is no
  // test.
  // `mechanisms` is SoftHSM's slots.mechanisms: ALL, or the only ones that it shall have.
  explicit SoftHsmToken(const std::string& label = "rewrap-test",
                        const std::string& mechanisms = "ALL");
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

// run_quietly runs a program, its output thrown away, and gives its exit status.
int run_quietly(std::vector<std::string> words);

// make_private_folder makes a new directory, mode 0700, under the system's temporary directory.
std::string make_private_folder();

// remove_folder removes it and what is in it.
void remove_folder(const std::string& folder);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_SOFTHSM_FIXTURE_H_
