"""Chat formats of well-known model families, each as a Jinja template and, where they can say it, as a Go template.

Only the formats are the families' own; the templates are ours.
"""

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

QWEN2 = """\
{%- for message in messages %}
    {%- if loop.first and message.role != 'system' %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content | trim ~ '<|im_end|>\\n' }}
{%- endfor %}
{%- if tools is not none %}{{ raise_exception('no tools') }}{% endif %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3 = """\
{% set loop_messages = messages %}
{% for message in loop_messages %}
{% set header = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' %}
{% set content = header + message['content'] | trim + '<|eot_id|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}
{{- content }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

LLAMA2 = """\
{%- if messages[0]['role'] == 'system' %}
    {%- set system = '<<SYS>>\\n' ~ messages[0]['content'] ~ '\\n<</SYS>>\\n\\n' %}
    {%- set messages = messages[1:] %}
{%- else %}{% set system = '' %}{% endif -%}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- bos_token ~ '[INST] ' ~ (system if loop.first else '') ~ message['content'].strip() ~ ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' ~ message['content'].strip() ~ ' ' ~ eos_token }}
    {%- endif %}
{%- endfor %}
"""

MISTRAL = """\
{{- bos_token }}
{%- set ns = namespace(system=false, turn=0) %}
{%- for message in messages %}
    {%- if message.role == 'system' %}{% set ns.system = message.content %}{% continue %}{% endif %}
    {%- if message.role == 'user' %}
        {{- '[INST] ' }}{% if ns.system and loop.last %}{{ ns.system + '\\n\\n' }}{% endif %}
        {{- message.content + '[/INST]' }}
    {%- else %}
        {{- ' ' + message.content | trim + eos_token }}
    {%- endif %}
    {%- set ns.turn = ns.turn + 1 %}
{%- endfor %}
"""

ZEPHYR = """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

PHI3 = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)

GEMMA = """\
{{ bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- macro turn(role, text) -%}
<start_of_turn>{{ role }}
{{ text | trim }}<end_of_turn>
{% endmacro %}
{%- for message in messages %}
    {{- turn({'assistant': 'model'}.get(message.role, message.role), message.content) }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\\n' }}
{%- endif %}"""

ODDS = """\
{%- set today = strftime_now('%Y') if strftime_now is defined else '' %}
{%- for message in messages if message.role != 'system' %}
{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }} {{ message | tojson(indent=2) }} {{ message.nothing }}
{%- if message.nothing is not defined and 'role' in message and message.content is string %} ok{% endif %}
{% endfor %}
{{ messages | map(attribute='role') | unique | list | join('|') }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ [3, 1, 2] | sort | reverse | list }} {{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': '<é>', 'a': [1, none]} | tojson }}
{{ (messages | last).content[:3] ~ messages[-1]['content'][::-1] }} {{ 'a,b'.split(',') }}
{{ '%s-%03d' % ('x', 7) }} {{ '{}:{n:>4}'.format(1, n=2) }}
{%- filter upper %} low {% endfilter %}{% set x %}{{ 1 + 1 }}{{ 'z' * 3 }}{% endset %}{{ x | indent(2, first=true) }}
{% generation %}inside{% endgeneration %} {{ '<b>' | e }} {{ 'ab' | replace('b', 'c') | upper }}
{{ 7 // 2 }} {{ 2 ** 8 }} {{ messages[9] }}
{%- for a in [1, [2, [3]]] recursive %}{{ '(' ~ loop(a) ~ ')' if a is not number else a }}{% endfor %}"""

JINJA = {
    "chatml": CHATML,
    "qwen2": QWEN2,
    "llama3": LLAMA3,
    "llama2": LLAMA2,
    "mistral": MISTRAL,
    "zephyr": ZEPHYR,
    "phi3": PHI3,
    "gemma": GEMMA,
    "odds": ODDS,
}

# Ollama's templates write no beginning-of-text token: the tokenizer adds it.
GO_LEGACY = {
    "chatml": """\
{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
""",
    "llama3": (
        "{{ if .System }}<|start_header_id|>system<|end_header_id|>\n\n{{ .System }}<|eot_id|>{{ end }}"
        "{{ if .Prompt }}<|start_header_id|>user<|end_header_id|>\n\n{{ .Prompt }}<|eot_id|>{{ end }}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Response }}<|eot_id|>"
    ),
    "phi3": """\
{{ if .System }}<|system|>
{{ .System }}<|end|>
{{ end }}{{ if .Prompt }}<|user|>
{{ .Prompt }}<|end|>
{{ end }}<|assistant|>
{{ .Response }}<|end|>
""",
    "zephyr": """\
{{- if .System }}<|system|>
{{ .System }}</s>
{{ end }}
{{- if .Prompt }}<|user|>
{{ .Prompt }}</s>
{{ end }}<|assistant|>
{{ .Response }}</s>
""",
}

GO_MESSAGES = {
    "chatml": """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
""",
    "llama3": (
        "{{ range $message := .Messages }}<|start_header_id|>{{ $message.Role }}<|end_header_id|>\n\n"
        "{{ $message.Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "phi3": "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}<|end|>\n{{ end }}<|assistant|>\n",
    "gemma": """\
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<start_of_turn>user
{{ .Content }}<end_of_turn>
{{ else if eq .Role "assistant" }}<start_of_turn>model
{{ .Content }}<end_of_turn>
{{ end }}
{{- if and $last (ne .Role "assistant") }}<start_of_turn>model
{{ end }}
{{- end }}""",
}
