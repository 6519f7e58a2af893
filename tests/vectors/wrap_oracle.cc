// Answers questions about key wrap on standard input, for interop.py. Test keys only: they are
// printed.
//
// Usage: wrap_oracle --list           prints the implementations that run here, one a line
//        wrap_oracle IMPLEMENTATION   reads lines "wrap|unwrap kw|kwp KEKHEX DATAHEX", answers
//        hexadecimal or FAIL
#include <iostream>
#include <optional>
#include <sstream>
#include <string>

#include "engine/implementation.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

struct Question {
  bool wrap = false;
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  Bytes kek;
  Bytes data;
};

std::optional<Question> parse(const std::string& line) {
  std::istringstream words(line);
  std::string what;
  std::string algorithm;
  std::string kek_hex;
  std::string data_hex;
  if (!(words >> what >> algorithm >> kek_hex >> data_hex)) return std::nullopt;
  if ((what != "wrap" && what != "unwrap") || (algorithm != "kw" && algorithm != "kwp"))
    return std::nullopt;
  const auto kek = test::decode_hex(kek_hex);
  const auto data = test::decode_hex(data_hex);
  if (!kek || !data) return std::nullopt;
  return Question{what == "wrap", algorithm == "kw" ? WrapAlgorithm::kKw : WrapAlgorithm::kKwp,
                  *kek, *data};
}

// run_one gives the output for one key, or the reason why there is none; kIntegrity if the wrap is
// refused.
Result<Bytes> run_one(const Implementation& implementation, const TransformSpec& spec,
                      const Bytes& in) {
  REWRAP_ASSIGN(auto transform, implementation.make(spec));
  Bytes out(transform->out_len());
  Bytes verdict(1, kDamaged);
  REWRAP_TRY(transform->run(in, out, verdict));
  if (verdict[0] != kIntact) return Status(Errc::kIntegrity, "the wrap does not open");
  return out;
}

// open tries the eight lengths that a KWP key in this wrap can have; KW has one.
Result<Bytes> open(const Implementation& implementation, WrapSide side, const Bytes& wrapped) {
  if (wrapped.size() < 2 * kSemiblockLen || wrapped.size() % kSemiblockLen != 0) {
    return Status(Errc::kIntegrity, "no wrap has this length");
  }
  std::size_t len = wrapped.size() - kSemiblockLen;
  const std::size_t shortest =
      side.algorithm == WrapAlgorithm::kKwp ? len - (kSemiblockLen - 1) : len;
  for (; len > shortest; --len) {
    auto key = run_one(implementation, {len, side, std::nullopt, false}, wrapped);
    if (key.ok() || key.status().code() != Errc::kIntegrity) return key;
  }
  return run_one(implementation, {len, side, std::nullopt, false}, wrapped);
}

Result<Bytes> answer(const Implementation& implementation, const Question& question) {
  REWRAP_ASSIGN(SecretBuffer buffer, SecretBuffer::copy_of(question.kek));
  REWRAP_ASSIGN(const Kek kek, Kek::create(std::move(buffer)));
  const WrapSide side{question.algorithm, &kek};
  if (!question.wrap) return open(implementation, side, question.data);
  return run_one(implementation, {question.data.size(), std::nullopt, side, false}, question.data);
}

int list() {
  for (const Implementation& implementation : implementations()) {
    if (test::runs_here(implementation)) std::cout << implementation.name << "\n";
  }
  return 0;
}

// complain prints why the whole program ends, which is not the same as FAIL for one question.
int complain(const std::string& reason) {
  std::cerr << "wrap_oracle: " << reason << "\n";
  return 1;
}

int serve(const std::string& name) {
  const auto implementation = choose_implementation(name);
  if (!implementation.ok()) return complain(implementation.status().describe());
  for (std::string line; std::getline(std::cin, line);) {
    const auto question = parse(line);
    if (!question) return complain("no question: " + line);
    const auto result = answer(*implementation.value(), *question);
    if (!result.ok() && result.status().code() != Errc::kIntegrity)
      return complain(result.status().describe());
    std::cout << (result.ok() ? encode_hex(result.value()) : "FAIL") << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace rewrap

int main(int argc, char** argv) {
  const std::string argument = argc == 2 ? argv[1] : "";
  if (argument.empty()) return rewrap::complain("usage: wrap_oracle --list | IMPLEMENTATION");
  return argument == "--list" ? rewrap::list() : rewrap::serve(argument);
}
