// Small Hugging Face folders, written byte by byte, for tests that read or damage one.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { HF_LAYERS = 2, HF_DIM = 8, HF_FFN = 12, HF_HEADS = 2, HF_KV = 1, HF_SIZE = 4 };
enum { HF_VOCAB = 262 };

// Writes `text` into folder/name.
void hf_put(const char *folder, const char *name, const char *text, size_t size);

// A safetensors file: the size of the header, the header, the data.
void hf_put_shard(const char *folder, const char *name, const char *header, const uint8_t *data,
                  size_t size);

extern const char hf_config_text[]; // LlamaForCausalLM of the shape above, tied
const char *hf_tokenizer_make(void); // byte-level, every byte a token, "<s>" before a text

// Header and data of the whole model in F32; to be freed. Layers [first, last), and
// the rest if first is 0.
char *hf_header(uint32_t first, uint32_t last, uint8_t **data, size_t *size);

// config.json, tokenizer.json and model.safetensors in a folder that is there.
void hf_folder(const char *folder);
