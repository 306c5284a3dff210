-- The rules that make the possible names of a model id. This is their only copy: the SQL function candidate_names (23)
-- calls it, and governor_service/domain/model_name_rules.py reads this file, so that services and SQL clients agree.
--
-- A text begins as the id, at the first row. The first row whose pattern is found in the text applies: the replacement
-- takes the place of what was found, and the new text goes on at the stage `next`. At 'name' it is a name; at 'none' it
-- is dropped. Rows of a stage with the same pattern apply together, in their order, so that a text becomes several. If
-- no row of a stage applies, the text goes on at the stage below. `step` tells people what was done.
--
-- Ids have no white space and no capitals (candidate_names sees to it). So spaces separate the parts of a text, and
-- words in capitals are marks: VENDOR stands where the vendor is not known yet. From the stage `vendor` on, a text is
--     PREFIX … MODEL VARIANT
-- for the names that the prefixes, the most specific first, make with the model and its variant:
-- `azure/ openai/ gpt-4o :extended` stands for azure/gpt-4o:extended and openai/gpt-4o:extended. An empty prefix and an
-- empty variant keep their space.
--
-- Patterns must mean the same in Python and in PostgreSQL: only greedy quantifiers, no flags, no back-references.
CREATE OR REPLACE FUNCTION model_name_rules(
    OUT stage text, OUT pattern text, OUT replacement text, OUT next text, OUT step text
) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
    -- gateway: what says only who passes the call on. `openrouter/auto` is a model of OpenRouter's own.
    ('gateway', '\A(litellm_proxy/|openrouter[/:](?=.*/))(?=.)', '', 'name', 'prefix \1'),
    ('gateway', '\A(litellm_proxy/|openrouter[/:](?=.*/))(?=.)', '', 'gateway', 'prefix \1'),

    ('begin', '\A', ' ', 'seller', ''),

    -- seller: who sells it, after `/` as LiteLLM writes it, or `:` as PydanticAI and LangChain do. Sellers are written
    -- as genai-prices does, vendors as OpenRouter does. A seller with VENDOR may sell a vendor's model at the vendor's
    -- price.
    ('seller', '\A ((?:azure|azure_ai|azure_openai)[/:])(?=.)', 'azure/ VENDOR ', 'place', 'prefix \1'),
    ('seller', '\A ((?:aws|bedrock|bedrock_converse|bedrock_mantle)[/:])(?=.)', 'aws/ VENDOR ', 'place', 'prefix \1'),
    ('seller', '\A ((?:google-vertex|google_vertexai|vertex_ai|vertex_ai_beta)[/:])(?=.)',
        'google-direct/ google/ VENDOR ', 'place', 'prefix \1'),
    ('seller', '\A (vercel_ai_gateway[/:])(?=.)', 'vercel/ VENDOR ', 'place', 'prefix \1'),
    -- A vendor's own API has the first name where it has another price than at OpenRouter.
    ('seller', '\A ((anthropic|cohere|deepseek|google|minimax|moonshotai|openai|perplexity|x-ai)-direct[/:])(?=.)',
        '\2-direct/ \2/ ', 'place', 'prefix \1'),
    ('seller', '\A (cohere_chat[/:])(?=.)', 'cohere-direct/ cohere/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:gemini|google-gla|google_genai)[/:]|google:)(?=.)',
        'google-direct/ google/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:mistral|mistral-direct|codestral|text-completion-codestral)[/:])(?=.)',
        'mistral-direct/ mistralai/ ', 'place', 'prefix \1'),
    ('seller', '\A (moonshot[/:])(?=.)', 'moonshotai-direct/ moonshotai/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:openai-chat|openai-responses|text-completion-openai)[/:])(?=.)',
        'openai-direct/ openai/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:xai|grok)[/:])(?=.)', 'x-ai-direct/ x-ai/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:zai|zai-direct)[/:])(?=.)', 'zai-direct/ z-ai/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:zhipuai|bigmodel)[/:])(?=.)', 'zhipuai/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:voyageai|voyage)[/:])(?=.)', 'voyageai/ ', 'place', 'prefix \1'),
    -- Vendors that genai-prices has no list of: OpenRouter sells at their prices.
    ('seller', '\A (amazon-nova[/:])(?=.)', 'amazon/ ', 'place', 'prefix \1'),
    ('seller', '\A (xiaomi_mimo[/:])(?=.)', 'xiaomi/ ', 'place', 'prefix \1'),
    -- Hosts of open weights, and others with prices of their own: another seller's price would be wrong for them.
    -- Alibaba's (dashscope) are a third above those at which OpenRouter sells its models.
    ('seller', '\A ((avian|baseten|cerebras|cloudflare|dashscope|databricks|doubleword|groq|modal|novita|'
        'ovhcloud)[/:])(?=.)', '\2/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:fireworks|fireworks_ai)[/:])(?=.)', 'fireworks/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:github-copilot|github_copilot)[/:])(?=.)', 'github-copilot/ ', 'place', 'prefix \1'),
    ('seller', '\A ((?:together|together_ai)[/:])(?=.)', 'together/ ', 'place', 'prefix \1'),
    ('seller', '\A (anthropic|cohere|deepseek|mistralai|moonshotai|openai|perplexity):(?=.)',
        ' \1/', 'fine-tune', 'prefix \1:'),
    -- Resource paths, which say the seller. An ARN of any other kind says no model.
    ('seller', '\A (?=arn:aws[a-z-]*:bedrock:[^:/]*:[^:/]*:(?:foundation-model|inference-profile)/.)',
        'aws/ VENDOR ', 'place', ''),
    ('seller', '\A (?=(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/.)',
        'google-direct/ google/ VENDOR ', 'place', ''),
    ('seller', '\A (?=models/.)', 'google-direct/ google/ ', 'place', ''),
    ('seller', '\A (?=accounts/fireworks/(?:models|routers)/.)', 'fireworks/ ', 'place', ''),
    ('seller', '\A (?=@cf/.)', 'cloudflare/ ', 'place', ''),
    -- Hugging Face's router says the host first at LiteLLM, and last in its own ids.
    ('seller', '\A huggingface/([^/]+)/(?=[^/]+/.)', 'huggingface_\1/ ', 'place', 'host \1'),
    ('seller', '\A ([^/:]+/[^/:]+):(cerebras|fireworks-ai|groq|hyperbolic|nebius|novita|nscale|ovhcloud|publicai|'
        'sambanova|together)\Z', 'huggingface_\2/ \1', 'place', 'host \2'),

    -- fine-tune: the price for fine-tunes of its base (`ft:gpt-4o:…`). The base's own price is none for it.
    ('fine-tune', '\A.*[ /]([^ /]+-20[0-9]{2}-[0-9]{2}-[0-9]{2}\.ft-)[^ /]*\Z', 'openai/\1', 'name', 'fine-tune'),
    ('fine-tune', '\A(?:[^ ]*-direct/ [^ ]*/)? (?:[^ ]*/)?ft:([^ /:]*)(?::[^ /]*)?\Z',
        'FT VENDOR \1 ', 'open family', 'fine-tune of \1'),
    ('fine-tune', '[ /]ft:[^ /]*\Z', '', 'none', ''),

    -- bedrock: REGION.VENDOR.MODEL, as a text BEDROCK REGION VENDOR MODEL.
    ('bedrock', '\A(?:aws/ VENDOR)? ((?:apac|au|ca|eu|global|in|jp|regional|sa|us|us-gov)\.)?((?:ai21|amazon|anthropic|'
        'cohere|deepseek|google|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|writer|xai|zai)\.)'
        '([^ /]+)\Z', 'BEDROCK \1 \2 \3 ', 'region', ''),

    -- tail: a version of Vertex (`@20250514`) or a provider (`@azure`) comes off.
    ('tail', '(?<=[^ /])(@(?:20[0-9]{6}|(?:[0-9]{4}-)?00[0-9]|default|latest))(?=(?:[@:][^ /]*)?\Z)',
        '', 'tail', 'version \1'),
    ('tail', '(?<=[^ /])(@(?:[^ /@:]|:(?![^0-9]))*)(?=(?:[@:][^ /]*)?\Z)', '', 'tail', 'provider \1'),
    -- split: the model and its variant. Ollama's sizes (`deepseek-r1:70b`) are none.
    ('split', '\A(.* (?:[^ ]*/)?(?:[^ /](?:[^ /:]|:(?![^0-9]))*)?)(:[^ /]*)?\Z', '\1 \2', 'vendor', ''),

    -- vendor: as OpenRouter writes it.
    ('vendor', '\A alibaba/(?=[^ /]* )', ' qwen/', 'variant', 'vendor qwen/'),
    ('vendor', '\A arcee/(?=[^ /]* )', ' arcee-ai/', 'variant', 'vendor arcee-ai/'),
    ('vendor', '\A (?:coherelabs|cohereforai)/(?=[^ /]* )', ' cohere/', 'variant', 'vendor cohere/'),
    ('vendor', '\A deepseek-ai/(?=[^ /]* )', ' deepseek/', 'variant', 'vendor deepseek/'),
    ('vendor', '\A meta-models/(?=[^ /]* )', ' meta/', 'variant', 'vendor meta/'),
    ('vendor', '\A minimaxai/(?=[^ /]* )', ' minimax/', 'variant', 'vendor minimax/'),
    ('vendor', '\A xiaomimimo/(?=[^ /]* )', ' xiaomi/', 'variant', 'vendor xiaomi/'),
    ('vendor', '\A zai-org/(?=[^ /]* )', ' z-ai/', 'variant', 'vendor z-ai/'),

    -- bare: the id names no vendor. OpenRouter lists some models without their vendors, beside models of its own.
    ('bare', '\A (?=[^ /]* )', 'BARE VENDOR ', 'open family', ''),
    ('bare', '\A openrouter/(?=[^ /]* )', 'OPENROUTER VENDOR ', 'open family', ''),
    ('bare', '\A(?= [^ ]*/)', '', 'variant', ''),

    -- sold: the ids that remain name a seller. If such an id also names another vendor, only the seller's price applies.
    ('sold', '\A(?!.* VENDOR )', '', 'variant', ''),
    ('sold', ' VENDOR (?=[^ ]*/)', ' ', 'variant', ''),

    -- open family, family: names that belong to one vendor. Open weights have many hosts, each with prices of its own:
    -- they have a vendor only if the id names no seller. First the names that only Groq or Databricks give.
    ('open family', '\A([A-Z]+) VENDOR(?= (?:llama-3\.[1-3]-[0-9]+b-(?:instant|specdec|versatile)|'
        'llama3-(?:8|70)b-8192|mixtral-8x7b-32768|gemma2-9b-it) )', '\1 groq/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= databricks-)', '\1 databricks/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= gpt-oss-)', '\1 openai/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= gemma-)', '\1 google/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= (?:mistral-nemo|open-(?:mistral|mixtral|codestral))[- ])',
        '\1 mistralai/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= deepseek-)', '\1 deepseek/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= (?:kimi-|moonshot-v1-))', '\1 moonshotai/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= (?:qwen[- 0-9.]|qwq-))', '\1 qwen/', 'resale', ''),
    -- glm-4-32b may be z-ai's or thudm's, and GLM before 4.5 zhipuai's.
    ('open family', '\A([A-Z]+) VENDOR(?= glm-(?:4\.[5-9]|[5-9]))', '\1 z-ai/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= (?:minimax-(?:m[0-9]|01)|m2-her ))', '\1 minimax/', 'resale', ''),
    ('open family', '\A([A-Z]+) VENDOR(?= mimo-v)', '\1 xiaomi/', 'resale', ''),

    -- Closed weights, which clouds sell at the vendors' prices.
    ('family', 'VENDOR(?= (?:gpt-[0-9]|gpt-(?:audio|chat|image|live|realtime|rosalind|transcribe)[- ]|chatgpt-|'
        'chat-latest |codex-mini|o[1-9][- ]|computer-use-preview))', 'openai/', 'resale', ''),
    ('family', 'VENDOR(?= (?:text-embedding-(?:3-|ada)|(?:davinci|babbage)-002 |whisper-1 |tts-1[- ]))',
        'openai/', 'resale', ''),
    ('family', 'VENDOR(?= claude-)', 'anthropic/', 'resale', ''),
    ('family', 'VENDOR(?= gemini-)', 'google/', 'resale', ''),
    ('family', 'VENDOR(?= (?:sonar[- ]|pplx-|r1-1776 ))', 'perplexity/', 'resale', ''),
    ('family', 'VENDOR(?= grok-)', 'x-ai/', 'resale', ''),
    ('family', 'VENDOR(?= (?:mistral-(?:tiny|small|medium|large|saba|embed|ocr|moderation)[- ]|'
        '(?:ministral|magistral|devstral|codestral|pixtral|voxtral)-))', 'mistralai/', 'resale', ''),
    ('family', 'VENDOR(?= (?:command[- ]|c4ai-aya-|embed-v4))', 'cohere/', 'resale', ''),
    ('family', 'VENDOR(?= jamba-)', 'ai21/', 'resale', ''),
    ('family', 'VENDOR(?= palmyra-)', 'writer/', 'resale', ''),
    ('family', 'VENDOR(?= nova-)', 'amazon/', 'resale', ''),
    ('family', 'VENDOR(?= muse-)', 'meta/', 'resale', ''),
    ('family', 'VENDOR(?= voyage-)', 'voyageai/', 'resale', ''),

    -- resale: the vendor of an id that named none, or of a fine-tune.
    ('resale', '\ABARE (?!VENDOR )', '', 'variant', ''),
    -- Any name may stand before a colon. Only a vendor's model has variants.
    ('resale', '\ABARE VENDOR .*:', '', 'none', ''),
    ('resale', '\ABARE VENDOR ', ' ', 'snapshot', ''),
    ('resale', '\AOPENROUTER VENDOR ', 'openrouter/ ', 'variant', ''),
    ('resale', '\AOPENROUTER ', '', 'variant', ''),
    ('resale', '\AFT VENDOR ', '', 'none', ''),
    ('resale', '\AFT ([^ ]*) ', '\1ft: ', 'snapshot', ''),

    -- cloud: whether that vendor's price counts. Each cloud sells the models of certain vendors.
    ('cloud', '\ABEDROCK ((?:ai21|anthropic|cohere|openai|writer|x-ai)/ )', '\1', 'snapshot', ''),
    ('cloud', '\ABEDROCK ', '', 'none', ''),
    ('cloud', '\A(aws/ (?:ai21|anthropic|cohere|openai|writer|x-ai)/ )(?=[^ ]* [^ ]*\Z)', '\1', 'variant', ''),
    ('cloud', '\A(azure/ (?:anthropic|cohere|mistralai|openai|x-ai)/ )(?=[^ ]* [^ ]*\Z)', '\1', 'variant', ''),
    ('cloud', '\A(vercel/ (?:anthropic|cohere|google|mistralai|openai|perplexity|x-ai)/ )(?=[^ ]* [^ ]*\Z)',
        '\1', 'variant', ''),
    -- Another vendor's model is not `direct` from Google.
    ('cloud', '\Agoogle-direct/ google/ ((?:ai21|anthropic|mistralai|x-ai)/ )(?=[^ ]* [^ ]*\Z)',
        'google/ \1', 'variant', ''),
    ('cloud', '[^ ]+ ([^ ]* [^ ]*)\Z', '\1', 'variant', ''),

    -- variant: `gpt-4o:extended` has a price of its own. `:free` has the price of the model itself, since no name makes
    -- a call free.
    ('variant', ' (:[^ ]+)\Z', ' \1', 'snapshot', ''),
    ('variant', ' (:[^ ]+)\Z', ' ', 'snapshot', 'variant \1'),

    -- snapshot: the model as it is written, then in other spellings, then by what is more general.
    ('snapshot', '\A(.*)\Z', '\1', 'prefix', ''),
    ('snapshot', '\A(.*)\Z', '\1', 'spelling', ''),
    ('snapshot', '\A(.*)\Z', '\1', 'other name', ''),

    -- spelling: ways to write one and the same name, as OpenRouter writes it. Azure allows no dots in names.
    ('spelling', '(?<=[ /])gpt-35-(?=[^ /]* [^ ]*\Z)', 'gpt-3.5-', 'spelling', 'spelling gpt-35 → gpt-3.5'),
    ('spelling', '(?<![0-9.])([0-9])-([0-9])(?=[- ][^/]*\Z)', '\1.\2', 'spelling', 'spelling \1-\2 → \1.\2'),
    ('spelling', '(?<=[ /])grok-4-20(?=[- ][^/]*\Z)', 'grok-4.20', 'spelling', 'spelling grok-4-20 → grok-4.20'),
    -- Anthropic's tier goes before the version since Claude 4, and after it before.
    ('spelling', '(?<=[ /])claude-([4-9](?:\.[0-9])?)-(opus|sonnet|haiku|fable|mythos)(?=[- ][^/]*\Z)',
        'claude-\2-\1', 'spelling', 'spelling claude-\1-\2 → claude-\2-\1'),
    ('spelling', '(?<=[ /])claude-(opus|sonnet|haiku)-(3(?:\.[0-9])?)(?=[- ][^/]*\Z)',
        'claude-\2-\1', 'spelling', 'spelling claude-\1-\2 → claude-\2-\1'),
    ('spelling', '(?<=[ /])(claude-(?:opus|sonnet)-[4-9])\.0(?=[- ][^/]*\Z)',
        '\1', 'spelling', 'spelling \1.0 → \1'),

    -- prefix: a name for each prefix.
    ('prefix', '\A([^ ]+) ([^ ]+) ([^ ]*) ([^ ]*)\Z', '\1 \3 \4', 'prefix', ''),
    ('prefix', '\A([^ ]+) ([^ ]+) ([^ ]*) ([^ ]*)\Z', '\2 \3 \4', 'prefix', ''),
    ('prefix', '\A([^ ]+) ([^ ]*) ([^ ]*)\Z', '\1\2\3', 'name', 'vendor \1'),
    ('prefix', '\A ([^ ]*) ([^ ]*)\Z', '\1\2', 'name', ''),

    -- other name: of single models. Previews that Google sold at the price of the model that they became; genai-prices
    -- matches them by how they begin, or by what they contain.
    ('other name', '([ /]gemini-2[-.]5-(?:pro|flash-lite))-preview-(?:06-05|06-17) ', '\1 ', 'snapshot', 'other name'),
    ('other name', '([ /]gemini-2[-.]5-flash-preview)-(?:04-17|05-20) ', '\1 ', 'snapshot', 'other name'),
    -- Vertex's name of the second snapshot.
    ('other name', '([ /]claude-3[-.]5-sonnet)-v2 ', '\1 ', 'snapshot', 'other name'),
    -- xAI sells both modes at one price.
    ('other name', '([ /]grok)-4[-.]20-(?:non-)?reasoning ', '\1-4.20 ', 'snapshot', 'other name'),
    -- Large 3 is Mistral's model of December 2025.
    ('other name', '([ /]mistral-large)-3 ', '\1-2512 ', 'snapshot', 'other name'),
    -- AI21's own names, and OpenRouter's.
    ('other name', '([ /]jamba)-(large|mini)-1[-.]6 ', '\1-1.6-\2 ', 'snapshot', 'other name'),
    -- OpenAI's own name; genai-prices matches it by how it begins.
    ('other name', '([ /]computer-use)-preview ', '\1 ', 'snapshot', 'other name'),
    -- The names under which the weights are published, and OpenRouter's.
    ('other name', '([ /]deepseek)-v3 ', '\1-chat ', 'snapshot', 'other name'),
    ('other name', '([ /]deepseek)-(v3-0324|v3\.1) ', '\1-chat-\2 ', 'snapshot', 'other name'),
    ('other name', '([ /]kimi-k2)-instruct((?:-0905)?) ', '\1\2 ', 'snapshot', 'other name'),
    ('other name', '([ /]qwen3-235b-a22b)-instruct(-2507) ', '\1\2 ', 'snapshot', 'other name'),
    ('other name', '([ /]qwen3-coder)-480b-a35b-instruct ', '\1 ', 'snapshot', 'other name'),
    -- Bedrock's names of Claude 2.0 and 2.1, which have one price.
    ('other name', '([ /]claude)-v2(?::1)? ', '\1-2 ', 'snapshot', 'other name'),

    -- shorter: without a date, or what else names a snapshot.
    -- A full date is a snapshot. Other numbers stay (-0324, -2507, -08-2024): listings have separate prices for such
    -- models.
    ('shorter', '(?<=[^ /])(-20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))(?= )', '', 'snapshot', 'date \1'),
    ('shorter', '(?<=[^ /])(-20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))(?= )', '', 'snapshot', 'date \1'),
    -- The latest of a version that is named. `ministral-3b-latest` names a size.
    ('shorter', '([ /][^ /]*[0-9](?![0-9]*b[- ])[^ /]*)-latest(?= )', '\1', 'snapshot', '-latest'),
    ('shorter', '([ /]gemini-[^ /]*)(-00[0-9])(?= )', '\1', 'snapshot', 'version \2'),

    ('end', '\A', '', 'none', ''),

    -- The stages below are reached from certain rows only.

    -- place: what stands between a seller and the model without being a part of its name. How Bedrock is called, and
    -- where (LiteLLM's bedrock/converse/…, bedrock/us-east-1/…); Azure's deployment types and data zones.
    ('place', '\A(aws/ VENDOR )(arn:aws[a-z-]*:bedrock:[^:/]*:[^:/]*:(?:foundation-model|inference-profile)/)(?=.)',
        '\1', 'place', 'prefix \2'),
    ('place', '\A(aws/ VENDOR )((?:converse_like|converse|invoke)/)(?=.)', '\1', 'place', 'prefix \2'),
    ('place', '\A(aws/ VENDOR )((?:us|eu|ap|ca|sa|me|af|il|mx)(?:-gov)?-[a-z]+-[0-9]/)(?=.)',
        '\1', 'place', 'prefix \2'),
    ('place', '\A(azure/ VENDOR )((?:global-standard|global|standard|apac|eu|us)/)(?=.)', '\1', 'place', 'prefix \2'),
    -- Vertex puts the publisher before the model.
    ('place', '\A(google-direct/ google/ VENDOR )((?:projects/[^/]+/locations/[^/]+/)?publishers/)([^/]+/)models/(?=.)',
        '\1\3', 'place', 'prefix \2'),
    ('place', '\A(google-direct/ google/ )(models/)(?=.)', '\1', 'place', 'prefix \2'),
    ('place', '\A(fireworks/ )(accounts/fireworks/(?:models|routers)/)(?=.)', '\1', 'place', 'prefix \2'),
    -- These sellers' ids may name the vendor before the model.
    ('place', '\A((?:azure|vercel|google-direct/ google)/ VENDOR )((?:ai21|anthropic|cohere|google|mistral|mistralai|'
        'openai|perplexity|x-ai|xai)/)(?=[^/]+\Z)', '\1', 'fine-tune', 'vendor \2'),
    ('place', '\A', '', 'fine-tune', ''),

    -- region: where the regions cost otherwise than the global endpoint, the price book names both. AWS sells all
    -- others in regions only. A region that is said means the price for one region.
    ('region', '\ABEDROCK ((?:global|regional)\.) ([^ ]*) ', 'aws/\1\2 ', 'bedrock form', 'region \1'),
    ('region', '\ABEDROCK ([^ ]+) ', 'BEDROCK  ', 'region', 'region \1'),
    ('region', '\ABEDROCK  ([^ ]*) ', 'aws/\1 ', 'bedrock form', ''),
    ('region', '\ABEDROCK  ([^ ]*) ', 'aws/regional.\1 ', 'bedrock form', ''),

    -- bedrock form: the model's name, then without its version, then without its date; last the vendor's. Bedrock calls
    -- Claude 2 claude-v2 and 2.1 claude-v2:1.
    ('bedrock form', '\A(.*)\Z', '\1', 'prefix', ''),
    ('bedrock form', '\A(.*)\Z', '\1', 'bedrock shorter', ''),
    ('bedrock shorter', '(?<! )(?<!claude)(-v[0-9]+(?::[0-9]+)?) \Z', ' ', 'bedrock form', 'version \1'),
    ('bedrock shorter', '(?<! )(?<!claude-v2)((?:-[0-9]+)?:[0-9]+) \Z', ' ', 'bedrock form', 'version \1'),
    ('bedrock shorter', '(?<! )(-20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])) \Z',
        ' ', 'bedrock form', 'date \1'),
    ('bedrock shorter', '\Aaws/(?:global|regional)\.[^ ]* ', 'BEDROCK VENDOR ', 'family', ''),
    ('bedrock shorter', '\A', '', 'none', '')
$$;
