#include "smtp-server/detail/line_reader.hpp"
