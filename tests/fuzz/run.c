/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs a fuzz target without libFuzzer: over the files it is given, and over inputs made from them (or from nothing) by a fixed random sequence,
 * so that every build tries some. Finding new ways in is libFuzzer's work: configure with CC=clang --enable-fuzz.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUNDS = 20000, LONGEST = 4096 };

static uint64_t state = 88172645463325252u;

static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % below;
}

static size_t read_file(const char *path, uint8_t *to)
{
	FILE *f = fopen(path, "rb");
	size_t n = 0;

	if (f) {
		n = fread(to, 1, LONGEST, f);
		fclose(f);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const char likely[] = "\r\n\r\n..\n\r\0 PROXY TCP4{}()\"\\";
	static uint8_t input[LONGEST];
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		n = read_file(argv[i], input);
		LLVMFuzzerTestOneInput(input, n);
	}
	for (int round = 0; round < ROUNDS; round++) {
		if (argc > 1 && draw(4) == 0) {
			n = read_file(argv[1 + draw((uint32_t)argc - 1)], input);
			for (uint32_t k = draw(8); k && n; k--)
				input[draw((uint32_t)n)] = (uint8_t)likely[draw(sizeof likely - 1)];
		} else {
			n = draw(200);
			for (size_t i = 0; i < n; i++)
				input[i] = draw(4) ? (uint8_t)likely[draw(sizeof likely - 1)] : (uint8_t)draw(256);
		}
		LLVMFuzzerTestOneInput(input, n);
	}
	printf("%d inputs and %d files\n", ROUNDS, argc - 1);
	return 0;
}
