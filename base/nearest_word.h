// "Did you mean": the word that was probably meant.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace driveprep {

// The candidate that the fewest edits (letters put in, left out or changed) lead to, the first of
// equals; nullopt when they are more than about a third of its letters: that is another word.
std::optional<std::string> nearest_word(std::string_view word,
                                        std::span<const std::string> candidates);

}  // namespace driveprep
