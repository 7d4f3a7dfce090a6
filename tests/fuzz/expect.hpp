// The assertion of fuzz targets: stands in every build, and lets the fuzzer keep the input.
#pragma once

#include <cstdio>
#include <cstdlib>

#define POSTERN_EXPECT(condition)                                                        \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                \
        }                                                                                \
    } while (false)
