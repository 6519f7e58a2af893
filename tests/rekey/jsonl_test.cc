// The exchange format and the bounded line reader, with hostile input.
#include "rekey/jsonl.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "rekey/line_reader.h"
#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

std::string line_with(const std::string& id, const std::string& alg, const std::string& wrapped) {
  return R"({"id":")" + id + R"(","alg":")" + alg + R"(","wrapped":")" + wrapped + "\"}";
}
const std::string kId = "6fa459ea-ee8a-4ca4-894e-db77e160355e";  // NOLINT(cert-err58-cpp)
const std::string kWrap = encode_base64(Bytes(40, 0x11));        // NOLINT(cert-err58-cpp)

TEST(Jsonl, EveryAlgorithmAndSize) {
  const struct {
    const char* name;
    WrapAlgorithm algorithm;
    std::size_t kek_len;
  } algs[] = {{"A128KW", WrapAlgorithm::kKw, 16},   {"A192KW", WrapAlgorithm::kKw, 24},
              {"A256KW", WrapAlgorithm::kKw, 32},   {"A128KWP", WrapAlgorithm::kKwp, 16},
              {"A192KWP", WrapAlgorithm::kKwp, 24}, {"A256KWP", WrapAlgorithm::kKwp, 32}};
  for (const auto& alg : algs) {
    for (const std::size_t dek_len : kDekLens) {
      const Bytes wrap(dek_len + 8, 0x22);
      const auto parsed = parse_wrap_line(line_with(kId, alg.name, encode_base64(wrap)));
      ASSERT_TRUE(parsed.ok()) << alg.name;
      EXPECT_EQ(parsed->algorithm, alg.algorithm);
      EXPECT_EQ(parsed->kek_len, alg.kek_len);
      EXPECT_EQ(parsed->dek_len, dek_len);
      EXPECT_EQ(parsed->wrap, wrap);
      EXPECT_EQ(format_uuid(parsed->id), kId);
    }
  }
}

TEST(Jsonl, WhatIsWrittenIsReadBack) {
  const Bytes wrap(40, 3);
  const std::string line = format_wrap_line({DekId{1}, WrapAlgorithm::kKw, 32, wrap, {}, 7});
  EXPECT_EQ(line.back(), '\n');
  EXPECT_NE(line.find("\"kek_version\":7"), std::string::npos);
  const auto parsed = parse_wrap_line(std::string_view(line).substr(0, line.size() - 1));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->id, DekId{1});
  EXPECT_EQ(parsed->wrap, Bytes(40, 3));
}

TEST(Jsonl, BadLinesAreRefused) {
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  for (const std::string& bad : {std::string(),
                                 std::string("{}"),
                                 std::string("[]"),
                                 std::string("null"),
                                 std::string("{"),
                                 deep,
                                 std::string(R"({"id":1,"alg":"A256KW","wrapped":"AA=="})"),
                                 line_with("not-a-uuid", "A256KW", kWrap),
                                 line_with(kId, "A256GCMKW", kWrap),
                                 line_with(kId, "A512GCMKW", kWrap),
                                 line_with(kId, "A256GCM", kWrap),
                                 line_with(kId, "a256kw", kWrap),
                                 line_with(kId, "A256KW", ""),
                                 line_with(kId, "A256KW", "AA=A"),
                                 line_with(kId, "A256KW", kWrap + "="),
                                 line_with(kId, "A256KW", encode_base64(Bytes(39, 1))),
                                 line_with(kId, "A256KW", encode_base64(Bytes(80, 1))),
                                 line_with(kId, "A256KW", kWrap) + "x",
                                 std::string("{\"id\":\"\xff\xfe\"}"),
                                 std::string(4, '\0'),
                                 std::string(kMaxLineLen + 1, ' ')}) {
    EXPECT_FALSE(parse_wrap_line(bad).ok()) << bad.substr(0, 80);
  }
}

// gcm_line gives a line of A256GCMKW with `iv`, `tag` and `more` as they stand in JSON.
std::string gcm_line(const std::string& iv, const std::string& tag, const std::string& more = "",
                     std::size_t dek_len = 32) {
  std::string line = line_with(kId, "A256GCMKW", encode_base64(Bytes(dek_len, 0x44)));
  line.pop_back();
  if (!iv.empty()) line += ",\"iv\":" + iv;
  if (!tag.empty()) line += ",\"tag\":" + tag;
  return line + more + "}";
}
std::string quoted(std::size_t len) { return '"' + encode_base64(Bytes(len, 0x55)) + '"'; }

TEST(Jsonl, GcmWrapsOfEverySizeWithAndWithoutAdditionalData) {
  for (const auto& [name, kek_len] :
       {std::pair("A128GCMKW", 16U), std::pair("A192GCMKW", 24U), std::pair("A256GCMKW", 32U)}) {
    for (const std::size_t dek_len : kDekLens) {
      for (const std::size_t aad_len : {std::size_t{0}, std::size_t{1}, kMaxForeignAadLen}) {
        Bytes wrap(wrapped_len(WrapAlgorithm::kGcm, dek_len), 0x66);
        store_be32(&wrap[kGcmIvLen], 0);
        const Bytes aad(aad_len, 0x77);
        const std::string line =
            format_wrap_line({DekId{1}, WrapAlgorithm::kGcm, kek_len, wrap, aad, 3});
        EXPECT_NE(line.find(std::string("\"") + name + '"'), std::string::npos);
        EXPECT_EQ(line.find("\"aad\"") == std::string::npos, aad.empty());
        const auto parsed = parse_wrap_line(std::string_view(line).substr(0, line.size() - 1));
        ASSERT_TRUE(parsed.ok()) << line;
        EXPECT_EQ(parsed->algorithm, WrapAlgorithm::kGcm);
        EXPECT_EQ(parsed->kek_len, kek_len);
        EXPECT_EQ(parsed->dek_len, dek_len);
        EXPECT_EQ(parsed->wrap, wrap);
        EXPECT_EQ(parsed->aad, aad);
      }
    }
  }
}

TEST(Jsonl, BadGcmLinesAreRefusedByName) {
  const std::string iv = quoted(12);
  const std::string tag = quoted(16);
  ASSERT_TRUE(parse_wrap_line(gcm_line(iv, tag)).ok());
  ASSERT_TRUE(parse_wrap_line(gcm_line(iv, tag, R"(,"aad":"")")).ok());
  const struct {
    std::string line;
    const char* complaint;
  } bad[] = {
      {gcm_line("", tag), "\"iv\""},
      {gcm_line(quoted(11), tag), "\"iv\""},
      {gcm_line(quoted(13), tag), "\"iv\""},
      {gcm_line(quoted(16), tag), "\"iv\""},
      {gcm_line("\"\"", tag), "\"iv\""},
      {gcm_line("null", tag), "\"iv\""},
      {gcm_line("12", tag), "\"iv\""},
      {gcm_line("[" + iv + "]", tag), "\"iv\""},
      {gcm_line("\"VVVVVVVVVVVVVVV-\"", tag), "\"iv\""},
      {gcm_line(iv, ""), "\"tag\""},
      {gcm_line(iv, quoted(15)), "\"tag\""},
      {gcm_line(iv, quoted(12)), "\"tag\""},
      {gcm_line(iv, quoted(17)), "\"tag\""},
      {gcm_line(iv, "null"), "\"tag\""},
      {gcm_line(iv, "\"VVVVVVVVVVVVVVVVVVVVVV=\""), "\"tag\""},
      {gcm_line(iv, tag, R"(,"aad":null)"), "\"aad\""},
      {gcm_line(iv, tag, R"(,"aad":7)"), "\"aad\""},
      {gcm_line(iv, tag, R"(,"aad":"VV")"), "\"aad\""},
      {gcm_line(iv, tag, ",\"aad\":" + quoted(kMaxForeignAadLen + 1)), "1024"},
      {gcm_line(iv, tag, "", 40), "no DEK"},
      {gcm_line(iv, tag, "", 31), "no DEK"},
      {gcm_line(iv, tag, "", 64 + 32), "no DEK"},
      {gcm_line(iv, tag, "", 0), "\"wrapped\""},
  };
  for (const auto& [line, complaint] : bad) {
    const auto parsed = parse_wrap_line(line);
    ASSERT_FALSE(parsed.ok()) << line;
    EXPECT_EQ(parsed.status().code(), Errc::kInvalidArgument);
    EXPECT_NE(parsed.status().describe().find(complaint), std::string::npos)
        << line << ": " << parsed.status().describe();
  }
}

class MutatedLines : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Lines, MutatedLines,
                         testing::Values(line_with(kId, "A256KW", kWrap),
                                         gcm_line(quoted(12), quoted(16),
                                                  ",\"aad\":" + quoted(32))));

TEST_P(MutatedLines, NeverCrash) {
  std::mt19937 random(11);
  const std::string& good = GetParam();
  for (int round = 0; round < 50'000; ++round) {
    std::string line = good;
    for (auto edits = random() % 5 + 1; edits > 0; --edits) {
      const std::size_t at = random() % line.size();
      switch (random() % 3) {
        case 0:
          line[at] = static_cast<char>(random());
          break;
        case 1:
          line.erase(at, random() % 9);
          break;
        default:
          line.insert(at, line.substr(random() % line.size(), random() % 9));
      }
      if (line.empty()) line = "{";
    }
    const auto parsed = parse_wrap_line(line);
    EXPECT_TRUE(!parsed.ok() ||
                dek_len_of_wrap(parsed->algorithm, parsed->wrap.size()).has_value());
  }
}

std::vector<std::pair<std::string, bool>> read_lines(const std::string& content) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/in";
  std::ofstream(path, std::ios::binary) << content;
  LineReader reader = ok_value(LineReader::open(path));
  std::vector<std::pair<std::string, bool>> lines;
  LineReader::Line line;
  while (ok_value(reader.next(&line))) {
    lines.emplace_back(line.text, line.too_long);
    EXPECT_EQ(line.number, lines.size());
  }
  return lines;
}

TEST(LineReader, LinesWithAndWithoutALastLineEnd) {
  using Lines = std::vector<std::pair<std::string, bool>>;
  EXPECT_EQ(read_lines(""), Lines());
  EXPECT_EQ(read_lines("a"), (Lines{{"a", false}}));
  EXPECT_EQ(read_lines("a\n\nb\n"), (Lines{{"a", false}, {"", false}, {"b", false}}));
}

TEST(LineReader, ALongLineIsSkippedAndTheNextIsRead) {
  for (const std::size_t len :
       {kMaxLineLen, kMaxLineLen + 1, std::size_t{1} << 20, std::size_t{10} << 20}) {
    const auto lines = read_lines("first\n" + std::string(len, 'x') + "\nlast");
    ASSERT_EQ(lines.size(), 3U) << len;
    EXPECT_EQ(lines[1].second, len > kMaxLineLen);
    EXPECT_EQ(lines[2].first, "last");
    EXPECT_FALSE(lines[2].second);
    EXPECT_EQ(read_lines(std::string(len, 'x')).size(), 1U);
  }
}

TEST(LineReader, RefusesWhatIsNotAFile) {
  EXPECT_EQ(LineReader::open("/nonexistent").status().code(), Errc::kNotFound);
  EXPECT_EQ(LineReader::open("/dev/null").status().code(), Errc::kInvalidArgument);
  EXPECT_FALSE(LineReader::open("/tmp").ok());
}

}  // namespace
}  // namespace rewrap
