// What libtss2 allocates for an answer, freed by itself.
#ifndef REWRAP_HSM_TPM2_ESYS_PTR_H_
#define REWRAP_HSM_TPM2_ESYS_PTR_H_

#include <cstdlib>
#include <memory>

namespace rewrap {

// Esys_Free is free(); said here so that no header needs libtss2's.
struct EsysDeleter {
  void operator()(void* answer) const { std::free(answer); }
};
template <typename T>
using EsysPtr = std::unique_ptr<T, EsysDeleter>;

// EsysOut passes an EsysPtr to a C function that fills in a T*.
template <typename T>
class EsysOut {
 public:
  explicit EsysOut(EsysPtr<T>* to) : to_(to) {}
  EsysOut(const EsysOut&) = delete;
  EsysOut& operator=(const EsysOut&) = delete;
  ~EsysOut() { to_->reset(raw_); }
  // NOLINTNEXTLINE(google-explicit-constructor): stands for the T** itself
  operator T**() { return &raw_; }

 private:
  EsysPtr<T>* to_;
  T* raw_ = nullptr;
};
template <typename T>
EsysOut<T> esys_out(EsysPtr<T>* to) {
  return EsysOut<T>(to);
}

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_ESYS_PTR_H_
