// Parameters: what each type takes, by JSON and by URL.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "api/element/choices.h"
#include "api/element/params.h"
#include "api/service/kmip.h"
#include "tests/api/front_fake.h"

namespace rewrap::test {
namespace {

using element::Param;
using element::Params;
using element::ParamType;

constexpr std::array kTable = {
    Param{"number", ParamType::kInteger, false, -5, 70'000},
    Param{"flag", ParamType::kBoolean},
    Param{"text", ParamType::kText},
    Param{"pem", ParamType::kPem},
    Param{"texts", ParamType::kTextArray},
};

element::Checked<Params> parse(const std::string& text, bool all_text = false) {
  return Params::parse(kTable, boost::json::parse(text).as_object(), all_text);
}

// error_of gives the name of what is wrong, "" if nothing is.
std::string error_of(const std::string& text, bool all_text = false) {
  const auto params = parse(text, all_text);
  return params.ok() ? "" : params.status().name;
}

TEST(ElementParams, Integers) {
  EXPECT_EQ(parse(R"({"number":70000})").value().integer("number"), 70'000);
  EXPECT_EQ(parse(R"({"number":"-5"})").value().integer("number"), -5);
  EXPECT_FALSE(parse(R"({"number":null})").value().integer("number").has_value());
  for (const char* bad : {"70001", "-6", R"("70001")"})
    EXPECT_EQ(error_of(R"({"number":)" + std::string(bad) + "}"), "xInvalidParameter") << bad;
  for (const char* bad : {"1.0", "true", "[1]", "{}", R"("")", R"("1 ")", R"(" 1")", R"("+1")",
                          R"("1e3")", R"("9223372036854775808")", "9223372036854775808"})
    EXPECT_EQ(error_of(R"({"number":)" + std::string(bad) + "}"), "xInvalidParameterType") << bad;
}

TEST(ElementParams, BooleansAreTextByUrlOnly) {
  EXPECT_EQ(parse(R"({"flag":true})").value().boolean("flag"), true);
  EXPECT_EQ(parse(R"({"flag":"False"})", true).value().boolean("flag"), false);
  EXPECT_EQ(error_of(R"({"flag":"true"})"), "xInvalidParameterType");
  EXPECT_EQ(error_of(R"({"flag":1})"), "xInvalidParameterType");
  EXPECT_EQ(error_of(R"({"flag":"1"})", true), "xInvalidParameterType");
}

TEST(ElementParams, TextHasNoControlCharacters) {
  EXPECT_EQ(parse(R"({"text":"a b"})").value().text("text"), "a b");
  for (const char* bad : {R"("a\nb")", R"("\u0000")", R"("\u007f")"}) {
    EXPECT_EQ(error_of(R"({"text":)" + std::string(bad) + "}"), "xInvalidParameter") << bad;
    EXPECT_EQ(error_of(R"({"texts":[)" + std::string(bad) + "]}"), "xInvalidParameter") << bad;
  }
  EXPECT_EQ(parse(R"({"pem":"a\nb\n"})").value().text("pem"), "a\nb\n");
  EXPECT_EQ(error_of(R"({"pem":"\u0000"})"), "xInvalidParameter");
}

TEST(ElementParams, TextHasItsLength) {
  const auto of_len = [](const char* name, std::size_t len) {
    return R"({")" + std::string(name) + R"(":")" + std::string(len, 'x') + R"("})";
  };
  EXPECT_EQ(error_of(of_len("text", element::kMaxTextLen)), "");
  EXPECT_EQ(error_of(of_len("text", element::kMaxTextLen + 1)), "xExceededLimit");
  EXPECT_EQ(error_of(of_len("pem", kMaxPemLen)), "");
  EXPECT_EQ(error_of(of_len("pem", kMaxPemLen + 1)), "xExceededLimit");
}

TEST(ElementParams, Arrays) {
  EXPECT_EQ(parse(R"({"texts":["a","b"]})").value().texts("texts")->size(), 2U);
  EXPECT_EQ(parse(R"({"texts":[]})").value().texts("texts")->size(), 0U);
  EXPECT_EQ(parse(R"({"texts":"a,b,c"})", true).value().texts("texts")->size(), 3U);
  EXPECT_EQ(error_of(R"({"texts":"a"})"), "xInvalidParameterType");
  EXPECT_EQ(error_of(R"({"texts":[1]})"), "xInvalidParameterType");
  boost::json::array many;
  while (many.size() < element::kMaxListLen) many.emplace_back("a");
  EXPECT_EQ(error_of(R"({"texts":)" + boost::json::serialize(many) + "}"), "");
  many.emplace_back("a");
  EXPECT_EQ(error_of(R"({"texts":)" + boost::json::serialize(many) + "}"), "xExceededLimit");
}

TEST(ElementParams, WhatTheTableLacksIsUnused) {
  const auto params = parse(R"({"Number":1,"other":null,"flag":true})");
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(boost::json::serialize(params.value().unused()), R"({"Number":1,"other":null})");
}

}  // namespace
}  // namespace rewrap::test
