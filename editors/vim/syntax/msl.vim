" Syntax of MSL, a language for multiscale modelling with machine learning.
if exists("b:current_syntax")
  finish
endif

syntax keyword mslItem use param unit dim let fn net closure system dataset minimize study scale
syntax keyword mslStatement unknown include eq weak on init ensure over loss subject stage check weight next state
syntax keyword mslControl if then else for in and or not
syntax keyword mslType Real Int Bool Str Vec Mat Sym Stiff Field Domain
" Names after a dot and before the `=` of an argument are never keywords.
syntax match mslMember /\.\k\+/
syntax match mslArgument /\k\+\ze=[^=]/

syntax match mslNumber /\<\d[0-9_]*\(\.\d[0-9_]*\)\?\([eE][+-]\?\d\+\)\?/ nextgroup=mslUnit skipwhite
syntax match mslUnit /\[[^][,]*\]/ contained
syntax match mslOperator /|>\|<=\|>=\|==\|!=\|\.\.\|::\|->\|∂\l\+\|[∇√∫·⋅×⊗≤≥≠+*^=<>~@ᵀ-]/
syntax region mslString start=/"/ end=/"/ oneline
syntax match mslComment /\/\/.*$/
syntax match mslDoc "///\([^/].*\)\?$"
syntax region mslComment start="/\*" end="\*/"

highlight default link mslItem Keyword
highlight default link mslStatement Statement
highlight default link mslControl Conditional
highlight default link mslType Type
highlight default link mslArgument Identifier
highlight default link mslNumber Number
highlight default link mslUnit Special
highlight default link mslOperator Operator
highlight default link mslString String
highlight default link mslComment Comment
highlight default link mslDoc SpecialComment

let b:current_syntax = "msl"
