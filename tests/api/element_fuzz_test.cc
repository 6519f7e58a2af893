// Requests that are nearly right, made from a fixed seed: each gets a well-formed answer, and none
// that was not understood reaches the service.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "tests/api/element_fake.h"

namespace rewrap::test {
namespace {

constexpr std::array kSeeds = {
    R"({"method":"RekeySoftwareEncryptionAtRestMasterKey","id":2,"params":{"keyManagementType":"external","keyProviderID":5}})",
    R"({"method":"GetAsyncResult","id":3,"params":{"asyncHandle":7,"keepResult":true}})",
    R"({"method":"CreateKeyServerKmip","id":"a","params":{"kmipCaCertificate":"-----BEGIN\n","kmipClientCertificate":"c","kmipKeyServerHostnames":["h"],"kmipKeyServerName":"n","kmipKeyServerPort":5696}})",
    R"({"method":"ListAsyncResults","params":{"asyncResultTypes":["Clone"]}})",
    R"({"method":"getapi","id":null,"params":null})",
};

class ElementFuzz : public testing::Test, public ElementFixture {
 protected:
  // mutate changes, drops, doubles or inserts a few bytes.
  std::string mutate(std::string text) {
    constexpr std::string_view kInteresting = "{}[]\",:0-9.eE\\nul\x01\x7f\xff\xc3 ";
    for (auto rounds = random_() % 4 + 1; rounds > 0 && !text.empty(); --rounds) {
      const std::size_t at = random_() % text.size();
      const char byte = kInteresting[random_() % kInteresting.size()];
      switch (random_() % 4) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.erase(at, random_() % 8 + 1);
          break;
        case 2:
          text.insert(at, 1, byte);
          break;
        default:
          text.insert(at, text.substr(at, random_() % 16));
      }
    }
    return text;
  }

  std::mt19937 random_{1};
};

TEST_F(ElementFuzz, EveryAnswerIsWellFormed) {
  constexpr int kRequests = 10'000;
  int results = 0;
  int errors = 0;
  for (int i = 0; i < kRequests; ++i) {
    const std::string body = mutate(kSeeds[static_cast<std::size_t>(i) % kSeeds.size()]);
    backend.job_list.clear();
    backend.add_job(JobState::kSucceeded);
    backend.events.clear();
    const int operations = backend.operations;
    const TestAnswer answer = post(body);
    ASSERT_EQ(answer.status, 200) << body;
    ASSERT_TRUE(answer.json.contains("id")) << body;
    const bool has_result = answer.json.contains("result");
    ASSERT_NE(has_result, answer.json.contains("error")) << body;
    ++(has_result ? results : errors);
    if (has_result) continue;
    ASSERT_EQ(answer.at("error.code"), "500") << body;
    ASSERT_TRUE(answer.at("error.name").starts_with("\"x")) << body;
    ASSERT_GT(answer.at("error.message").size(), 2U) << body;
    if (backend.events.empty()) {
      ASSERT_EQ(backend.operations, operations) << body;
    }
  }
  // Both happen: neither is everything refused nor everything taken.
  EXPECT_GT(results, 250);
  EXPECT_GT(errors, 2'500);
}

}  // namespace
}  // namespace rewrap::test
